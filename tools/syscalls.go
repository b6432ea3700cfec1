// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"strconv"
	"strings"
	"sync"
)

// syscallNames are the system calls of this machine's architecture by their numbers.
var syscallNames = sync.OnceValue(func() map[int64]string {
	names := map[int64]string{}
	for line := range strings.Lines(syscallTable) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			names[n] = name
		}
	}
	return names
})

// SyscallName is the name of a system call of this machine, "" for a number that has none.
func SyscallName(number int64) string { return syscallNames()[number] }
