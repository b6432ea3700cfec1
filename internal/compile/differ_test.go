// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skep-io/skep/internal/vm"
)

// ways are how each random program is compiled: all must do the same. With few registers
// nearly everything is spilled.
var ways = []struct {
	name   string
	o      Options
	tuning tuning
}{
	{"plain", Options{}, tuning{plain: true}},
	{"plain, few registers", Options{CPU: 4}, tuning{plain: true, avoid: [10]bool{2: true, 3: true, 4: true, 5: true, 7: true, 8: true, 9: true}}},
	{"simplified", Options{}, tuning{}},
	{"simplified, set 4", Options{CPU: 4}, tuning{}},
	{"simplified, few registers", Options{}, tuning{avoid: [10]bool{2: true, 3: true, 4: true, 5: true, 8: true, 9: true}}},
}

func TestWaysAgree(t *testing.T) {
	for seed := range uint64(100) {
		p := newRandom(seed, 5+int(seed%60))
		var want string
		for _, w := range ways {
			w.o.Stack = 4096
			code, err := compileTuned(p, w.o, w.tuning)
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, w.name, err)
			}
			got, err := runCode(code, seed)
			if err != nil {
				t.Fatalf("seed %d, %s: %v\n%s\n%s", seed, w.name, err, p, code)
			}
			if want == "" {
				want = got
			} else if got != want {
				t.Fatalf("seed %d, %s:\n%s\nwant\n%s\n%s\n%s", seed, w.name, got, want, p, code)
			}
		}
	}
}

// runCode is everything that a program leaves behind in the machine.
func runCode(code *Code, seed uint64) (string, error) {
	m, err := vm.New(vm.Options{Maps: []vm.MapSpec{
		{Name: "out", Type: vm.Array, KeySize: 4, ValueSize: outSize, MaxEntries: 1},
		{Name: "table", Type: vm.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 8},
	}})
	if err != nil {
		return "", err
	}
	p, err := m.Load("random", code.Instructions)
	if err != nil {
		return "", err
	}
	out := ""
	r := rand.New(rand.NewPCG(seed, 2))
	for range 3 {
		ctx := make([]byte, 64)
		for i := 0; i < 64; i += 8 {
			n := r.Uint64() >> (8 * r.IntN(8))
			binary.LittleEndian.PutUint64(ctx[i:], n)
		}
		r0, err := m.Run(p, ctx)
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("%#x %x", r0, m.Map("out").Lookup(make([]byte, 4)))
		var pairs []string
		for _, k := range m.Map("table").Keys() {
			pairs = append(pairs, fmt.Sprintf("%x=%x", k, m.Map("table").Lookup(k)))
		}
		slices.Sort(pairs)
		out += fmt.Sprintln(pairs)
	}
	return out, nil
}
