// SPDX-License-Identifier: Apache-2.0

package container

import "strings"

// maxName bounds the names that are taken from paths.
const maxName = 255

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if !(s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f') {
			return false
		}
	}
	return s != ""
}

func isHex64(s string) bool { return len(s) == 64 && isHex(s) }

// isPodUID accepts a UUID, and the 32 hex digits of a static pod.
func isPodUID(s string) bool {
	if len(s) == 32 {
		return isHex(s)
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return isHex(strings.ReplaceAll(s, "-", "")) && strings.Count(s, "-") == 4
}

// isName accepts what runc, containerd and LXC allow as a name.
func isName(s string) bool {
	if s == "" || len(s) > maxName || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) && !strings.ContainsRune("_+-.", rune(s[i])) {
			return false
		}
	}
	return true
}

// isFargate accepts a task's hash and a number: 32 hex, dash, digits.
func isFargate(s string) bool {
	return len(s) > 33 && len(s) < 64 && isHex(s[:32]) && s[32] == '-' &&
		strings.Trim(s[33:], "0123456789") == ""
}

var unitKinds = map[string]bool{"service": true, "scope": true, "slice": true, "socket": true, "mount": true, "swap": true}

// isUnit follows systemd.unit(5): letters, digits, ":-_.\@", and a known suffix.
func isUnit(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot < 1 || len(s) > maxName || !unitKinds[s[dot+1:]] {
		return false
	}
	for i := 0; i < dot; i++ {
		if !alphanumeric(s[i]) && !strings.ContainsRune(`:-_.\@`, rune(s[i])) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// unescape undoes systemd's \x2d.
func unescape(s string) string { return strings.ReplaceAll(s, `\x2d`, "-") }
