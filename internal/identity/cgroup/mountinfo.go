// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxMountLine bounds one line of mountinfo: two paths of PATH_MAX, each byte
// escaped to four, and options.
const maxMountLine = 64 << 10

// mount is one cgroup or cgroup2 line of /proc/<pid>/mountinfo (proc(5)).
type mount struct {
	root    string   // directory of the filesystem that is mounted
	point   string   // where, in this mount namespace
	v2      bool     // cgroup2
	options []string // super block options: for v1 its controllers
}

// parseMountinfo returns the cgroup mounts that are visible: of several mounts
// on one point only the last one can be reached.
func parseMountinfo(r io.Reader) ([]mount, error) {
	var mounts []mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMountLine)
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		if !ok {
			continue
		}
		mounts = append(without(mounts, m.point), m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	return mounts, nil
}

// parseMount reads one line; ok is false for any other filesystem's.
//
//	36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup cgroup rw,memory
func parseMount(line string) (m mount, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	head, tail := strings.Fields(before), strings.Fields(after)
	if !found || len(head) < 6 || len(tail) < 3 {
		return mount{}, false
	}
	if tail[0] != "cgroup" && tail[0] != "cgroup2" {
		return mount{}, false
	}
	return mount{
		root:    unescape(head[3]),
		point:   unescape(head[4]),
		v2:      tail[0] == "cgroup2",
		options: strings.Split(tail[2], ","),
	}, true
}

func without(mounts []mount, point string) []mount {
	kept := mounts[:0]
	for _, m := range mounts {
		if m.point != point {
			kept = append(kept, m)
		}
	}
	return kept
}

// unescape undoes the kernel's \ooo for space, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) bool {
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7'
}
