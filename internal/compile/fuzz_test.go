// SPDX-License-Identifier: Apache-2.0

package compile_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// FuzzCompile makes programs of its input: each passes Check, and compiles to code of which
// every jump leads to an instruction and every instruction has a position. That they do the
// same is what TestDifferential of package generate looks at.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a few choices for a small program"))
	for seed := range byte(8) {
		long := make([]byte, 800)
		for i := range long {
			long[i] = byte(i*i)*(seed+3) ^ seed
		}
		f.Add(long)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		var choices generate.Choices
		for ; len(data) >= 4; data = data[4:] {
			choices = append(choices, binary.LittleEndian.Uint32(data))
		}
		p := generate.Program(choices)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		for _, cpu := range []int{3, 4} {
			code, err := compile.Compile(p, compile.Options{CPU: cpu, Stack: 1 << 12})
			if err != nil {
				t.Fatalf("%v\n%s", err, p)
			}
			wellFormed(t, code)
		}
	})
}

// wellFormed looks at what the verifier looks at first.
func wellFormed(t *testing.T, code *compile.Code) {
	t.Helper()
	starts := map[int]bool{}
	slot := 0
	for i := range code.Instructions {
		starts[slot] = true
		slot += int(code.Instructions[i].Width())
	}
	if slot != len(code.Positions) || slot != code.Stats.Slots {
		t.Fatalf("%d slots, %d positions, %d counted", slot, len(code.Positions), code.Stats.Slots)
	}
	slot = 0
	for i := range code.Instructions {
		in := &code.Instructions[i]
		slot += int(in.Width())
		op := in.OpCode.JumpOp()
		if in.OpCode.Class().IsJump() && op != asm.Call && op != asm.Exit && !starts[slot+int(in.Offset)] {
			t.Fatalf("%v leads to no instruction\n%s", in, code)
		}
	}
	if last := code.Instructions[len(code.Instructions)-1].OpCode.JumpOp(); last != asm.Exit && last != asm.Ja {
		t.Fatalf("the code ends without a way on\n%s", code)
	}
}
