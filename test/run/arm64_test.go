// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestObjectsARM64(t *testing.T) {
	if err := need("clang-19"); err != nil {
		t.Skip(err)
	}
	program := "int value SEC;\n__attribute__((section(\"socket\"), used)) int run(void *ctx) { return value + BODY; }\n"
	program = strings.Replace(program, "SEC", `__attribute__((section(".data")))`, 1)
	for _, tt := range []struct{ name, body, err string }{
		{"same", "1", ""},
		{"different", "(sizeof(ARCH))", "bpf/a/a.bpf.c: the object depends on the architecture"},
		{"broken", "missing", "undeclared identifier"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := "#ifdef __TARGET_ARCH_arm64\n#define ARCH char\n#else\n#define ARCH int\n#endif\n" + strings.Replace(program, "BODY", tt.body, 1)
			t.Chdir(writeTree(t, map[string]string{"bpf/a/a.bpf.c": source, "bpf/include/x.h": ""}))
			err := objectsARM64(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}
