// SPDX-License-Identifier: Apache-2.0

// Package walk reads paths as the kernel side writes them: leaf first, each name with a
// NUL behind it (bpf/include/path.h).
package walk

import (
	"bytes"
	"strings"

	"github.com/skep-io/skep/internal/abi"
)

// How a walk ended.
const (
	Complete    = uint16(abi.PathComplete)    // at the process's root
	Truncated   = uint16(abi.PathTruncated)   // at the limit of depth or length: the front of the path is missing
	Unreachable = uint16(abi.PathUnreachable) // at the end of a mount tree that is not the process's root
	Pseudo      = uint16(abi.PathPseudo)      // at once: the file has a name and no tree, as a memfd has
)

// Join turns "leaf\0...\0top\0" into "/top/.../leaf". Bytes that are not UTF-8 are
// shown as U+FFFD. A walk that was cut off gives a path that does not begin with "/";
// one that is empty and did not end at the root gives "".
func Join(walk []byte, flags uint16) string {
	walk = bytes.TrimSuffix(walk, []byte{0})
	if len(walk) == 0 {
		if flags&Complete != 0 {
			return "/"
		}
		return ""
	}
	path := make([]byte, 0, len(walk)+1)
	for rest := walk; ; {
		i := bytes.LastIndexByte(rest, 0)
		// A walk that was cut off has no front: it does not start at the root.
		if flags&Truncated == 0 || len(rest) < len(walk) {
			path = append(path, '/')
		}
		path = append(path, rest[i+1:]...)
		if i < 0 {
			return strings.ToValidUTF8(string(path), "\uFFFD")
		}
		rest = rest[:i]
	}
}
