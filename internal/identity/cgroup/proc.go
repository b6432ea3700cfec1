// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"slices"
	"strconv"
	"strings"
)

// ProcPath finds this hierarchy's line in the content of a /proc/<pid>/cgroup
// file and returns its hierarchy id (0 for v2), and the path of the process.
func (h Hierarchy) ProcPath(content string) (id int, path string, ok bool) {
	for line := range strings.Lines(content) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !h.lists(parts[1]) {
			continue
		}
		id, err := strconv.Atoi(parts[0])
		if err != nil || (id == 0) != (h.Version == 2) {
			continue
		}
		return id, parts[2], true
	}
	return 0, "", false
}

func (h Hierarchy) lists(controllers string) bool {
	if h.Version == 2 {
		return controllers == ""
	}
	return slices.Contains(strings.Split(controllers, ","), h.Controller)
}
