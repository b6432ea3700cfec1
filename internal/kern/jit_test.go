// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/bpf"
)

// TestWithoutKernelFunctions: no program of any object keeps one. That those of the process
// sensor load without them, its TestLoadInterpreted shows.
func TestWithoutKernelFunctions(t *testing.T) {
	before := 0
	for _, object := range []string{"dns", "files", "host", "process", "tcp", "udp", "unix"} {
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object(object)))
		if err != nil {
			t.Fatal(err)
		}
		for name, program := range spec.Programs {
			for _, ins := range program.Instructions {
				if ins.IsKfuncCall() {
					before++
				}
			}
			withoutKernelFunctions(program.Instructions)
			for _, ins := range program.Instructions {
				if ins.IsKfuncCall() {
					t.Errorf("%s %s: %v", object, name, ins)
				}
			}
		}
	}
	if before == 0 {
		t.Error("no object calls a kernel function: this test, and what it tests, is for nothing")
	}
}
