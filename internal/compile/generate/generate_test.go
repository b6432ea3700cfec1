// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// TestVariety: programs of few choices are small, and together they use every operation.
func TestVariety(t *testing.T) {
	if p := generate.Program(nil); len(p.Funcs) != 1 || p.Check() != nil {
		t.Errorf("no choices make\n%v", p)
	}
	used := map[compile.Op]int{}
	helpers := map[int64]int{}
	const programs = 500
	for seed := range uint64(programs) {
		for _, f := range generate.Program(choicesOf(seed)).Funcs {
			for _, b := range f.Blocks {
				for _, v := range b.Values {
					used[v.Op]++
					if v.Op == compile.Call {
						helpers[v.Imm]++
					}
				}
			}
		}
	}
	for op := compile.Const; op < compile.TailCall; op++ {
		if used[op] < programs/20 {
			t.Errorf("%d programs have operation %v %d times", programs, op, used[op])
		}
	}
	if len(helpers) < 12 {
		t.Errorf("helpers are %v", helpers)
	}
}

func TestShrink(t *testing.T) {
	contains := func(c generate.Choices) bool { return slices.Contains(c, 77) && slices.Contains(c, 5) }
	c := append(choicesOf(1), 900, 77, 3, 5, 8)
	if got := generate.Shrink(c, 2000, contains); len(got) != 2 || !contains(got) {
		t.Errorf("got %v, want 77 and 5", got)
	}
}

// FuzzCompile makes programs of what the fuzzer finds: any difference is a failure.
func FuzzCompile(f *testing.F) {
	for seed := range uint64(8) {
		var b []byte
		for _, c := range choicesOf(seed)[:20] {
			b = append(b, byte(c))
		}
		f.Add(b, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	f.Fuzz(func(t *testing.T, b, words []byte) {
		if len(b) > 400 {
			return
		}
		choices := make(generate.Choices, len(b))
		for i := range b {
			choices[i] = uint32(b[i])
		}
		context := make([]byte, generate.ContextSize)
		for i := range generate.ContextSize / 8 {
			if len(words) > 0 {
				binary.LittleEndian.PutUint64(context[8*i:], uint64(int64(int8(words[i%len(words)])))<<(i*5))
			}
		}
		p := generate.Program(choices)
		if err := difference(p, [][]byte{context}, nil); err != nil {
			t.Errorf("%v\n%v", p, err)
		}
	})
}
