// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"fmt"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// matchPaths matches file operations by either path, and connects to unix sockets by
// theirs: the one that is given, or what is below it.
func matchPaths(prefixes []string) (predicate, error) {
	if len(prefixes) == 0 {
		return nil, nil
	}
	if len(prefixes) > maxFilterValues {
		return nil, fmt.Errorf("%d values, the limit is %d", len(prefixes), maxFilterValues)
	}
	var dirs []string
	for _, p := range prefixes {
		if !strings.HasPrefix(p, "/") {
			return nil, fmt.Errorf("%q is not an absolute path", p)
		}
		dirs = append(dirs, strings.TrimRight(p, "/"))
	}
	return func(r *skepv1.Record) bool {
		f := r.GetFile()
		return below(f.GetPath(), dirs) || below(f.GetNewPath(), dirs) || below(r.GetUnix().GetPath(), dirs)
	}, nil
}

func below(path string, dirs []string) bool {
	for _, dir := range dirs {
		if rest, ok := strings.CutPrefix(path, dir); ok && path != "" && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
