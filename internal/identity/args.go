// SPDX-License-Identifier: Apache-2.0

package identity

// MaxArgCount bounds the arguments that are kept of a command line: 4,096 empty ones in
// 4 KiB would take 64 KiB of string headers.
const MaxArgCount = 1024

// FirstArgs cuts NUL-separated arguments behind the first MaxArgCount.
func FirstArgs(line []byte) (front []byte, cut bool) {
	count := 0
	for i, c := range line {
		if c == 0 {
			if count++; count == MaxArgCount {
				return line[:i], true
			}
		}
	}
	return line, false
}
