// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"
	"syscall"
)

// machine is the architecture by the kernel's name, such as x86_64.
func machine() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	return charsToString(u.Machine[:])
}

// release is the version of the running kernel.
func release() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	return charsToString(u.Release[:])
}

func charsToString[T int8 | uint8](chars []T) string {
	var b strings.Builder
	for _, c := range chars {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

// olderThan compares versions by the numbers in front of what is no number.
func olderThan(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range y {
		if i >= len(x) || x[i] != y[i] {
			return i >= len(x) && y[i] > 0 || i < len(x) && x[i] < y[i]
		}
	}
	return false
}

func numbers(version string) []int {
	version, _, _ = strings.Cut(version, "-")
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}
