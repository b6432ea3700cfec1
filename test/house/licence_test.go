// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"path"
	"regexp"
	"strings"
	"testing"
)

var sourceEnds = []string{
	".go", ".c", ".h", ".ts", ".js", ".mjs", ".svelte", ".css", ".html", ".proto", ".sh", ".yaml", ".yml", "Makefile", ".ci/run", ".bt",
}

// licence is the identifier that a file must carry. The kernel takes GPL programs
// only, and what is shared with them carries both licences.
func licence(name string) string {
	if end := path.Ext(name); end == ".c" || end == ".h" {
		return "(GPL-2.0-only OR BSD-2-Clause)"
	}
	return "Apache-2.0"
}

var header = regexp.MustCompile(`SPDX-License-Identifier: (.*?)\s*(-->|\*/)?$`)

// headerOf finds the identifier in the first three lines: a shebang, a doctype or
// an encoding may stand before it.
func headerOf(text []byte) string {
	for i, line := range bytes.SplitN(text, []byte("\n"), 4) {
		if m := header.FindSubmatch(line); m != nil && i < 3 {
			return string(m[1])
		}
	}
	return ""
}

func TestLicenceHeaders(t *testing.T) {
	for _, f := range files(t, sourceEnds...) {
		// Bundled, or by a generator that does not copy its source's header.
		if strings.HasPrefix(f.name, "web/dist/") || strings.HasSuffix(f.name, "_vtproto.pb.go") {
			continue
		}
		if got, want := headerOf(f.text), licence(f.name); got != want {
			t.Errorf("%s: licence header is %q, want SPDX-License-Identifier: %s", f.name, got, want)
		}
	}
}

func TestHeaderOf(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"// SPDX-License-Identifier: Apache-2.0\n\npackage a\n", "Apache-2.0"},
		{"#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", "Apache-2.0"},
		{"<!-- SPDX-License-Identifier: Apache-2.0 -->\n<script>", "Apache-2.0"},
		{"/* SPDX-License-Identifier: Apache-2.0 */\n", "Apache-2.0"},
		{"// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)\n", "(GPL-2.0-only OR BSD-2-Clause)"},
		{"package a\n\n\n// SPDX-License-Identifier: Apache-2.0\n", ""},
		{"package a\n", ""},
		{"", ""},
	} {
		if got := headerOf([]byte(tt.text)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
	if licence("bpf/a/b.bpf.c") == licence("internal/a/b.go") {
		t.Error("kernel C and Go have the same licence")
	}
}
