// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// minIDPrefix is the length of the short container ids that tools print.
// Anything shorter is a name only: "db" must not match ids that start so.
const minIDPrefix = 12

func matchContainers(values []string) (predicate, error) {
	if len(values) == 0 {
		return nil, nil
	}
	names, err := setOf(values)
	if err != nil {
		return nil, err
	}
	var prefixes []string
	for _, v := range values {
		if v == "" {
			return nil, errors.New("an empty value; give a container id (12 characters or more), a container name or a pod name")
		}
		if len(v) >= minIDPrefix {
			prefixes = append(prefixes, v)
		}
	}
	return func(r *skepv1.Record) bool { return inContainers(r, names, prefixes) }, nil
}

func inContainers(r *skepv1.Record, names map[string]struct{}, prefixes []string) bool {
	c := r.GetProcess().GetContainer()
	for _, name := range [...]string{c.GetName(), c.GetPod(), r.GetPod(), c.GetPodUid()} {
		if _, ok := names[name]; ok && name != "" {
			return true
		}
	}
	for _, prefix := range prefixes {
		if strings.HasPrefix(c.GetId(), prefix) {
			return true
		}
	}
	return false
}
