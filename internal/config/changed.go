// SPDX-License-Identifier: Apache-2.0

package config

import "reflect"

// Changed lists the keys whose values differ, as dotted paths in the order of the file.
func Changed(old, now Config) []string {
	return changed("", reflect.ValueOf(old), reflect.ValueOf(now))
}

func changed(path string, old, now reflect.Value) (paths []string) {
	if old.Kind() != reflect.Struct {
		if !reflect.DeepEqual(old.Interface(), now.Interface()) {
			paths = append(paths, path)
		}
		return paths
	}
	for i := range old.NumField() {
		key := old.Type().Field(i).Tag.Get("yaml")
		paths = append(paths, changed(join(path, key), old.Field(i), now.Field(i))...)
	}
	return paths
}
