// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// compiled compiles for a version of the instruction set.
func compiled(p *compile.Program, cpu int) (*compile.Code, error) {
	return compile.Compile(p, compile.Options{CPU: cpu})
}

// difference compares an evaluation with compiled code in the machine and, if there is one,
// the kernel: nil if they agree in each of some contexts.
func difference(p *compile.Program, contexts [][]byte, k *kernel) error {
	runtime.LockOSThread() // programs ask which thread runs them
	defer runtime.UnlockOSThread()
	if err := p.Check(); err != nil {
		return err
	}
	var want []state
	for i, context := range contexts {
		want = append(want, evaluated(p, bytes.Clone(context)))
		if err := want[i].fault; err != nil {
			return fmt.Errorf("the generator's fault: %w", err)
		}
	}
	for _, cpu := range []int{3, 4} {
		code, err := compiled(p, cpu)
		if err != nil {
			return err
		}
		for i, context := range contexts {
			if got := interpreted(code, bytes.Clone(context)); !got.equal(want[i]) {
				return fmt.Errorf("CPU %d, context %d: the machine differs:\n got %v\nwant %v\n%v", cpu, i, got, want[i], code)
			}
		}
		if k == nil || !slices.Contains(k.cpus, cpu) || !k.has(p) {
			continue
		}
		k.compared++
		states := k.run(code, contexts)
		if errors.Is(states[0].fault, unix.E2BIG) {
			k.tooLarge++ // the verifier gave up after a million instructions: no opinion
			continue
		}
		for i, got := range states {
			if !got.equal(want[i]) {
				return fmt.Errorf("CPU %d, context %d: the kernel differs:\n got %v\nwant %v\n%v", cpu, i, got, want[i], code)
			}
		}
	}
	return nil
}

func choicesOf(seed uint64) generate.Choices {
	r := rand.New(rand.NewPCG(seed, 4))
	most := 300
	if seed%16 == 15 {
		most = 1500
	}
	return generate.Random(r, 20+r.IntN(most))
}

// More programs than CI has time for: go test ./internal/compile/generate -args -programs 20000 -seed 7.
var (
	programs = flag.Uint64("programs", 400, "programs to compare with the kernel; five times as many without")
	seed     = flag.Uint64("seed", 0, "the first seed")
)

// TestDifferential: what the representation means, what its bytecode does in the machine
// and what it does in the kernel are the same.
func TestDifferential(t *testing.T) {
	t.Run("machine", func(t *testing.T) { differential(t, nil, *seed, 5**programs) })
	t.Run("kernel", func(t *testing.T) { differential(t, newKernel(t), *seed+1<<32, *programs) })
}

func differential(t *testing.T, k *kernel, first, programs uint64) {
	t.Helper()
	failed := 0
	if k != nil {
		defer func() {
			t.Logf("%d loads into the kernel, %d too large for it, instruction sets %v", k.compared, k.tooLarge, k.cpus)
			if k.compared < int(programs)/3 {
				t.Errorf("of %d programs %d were run in the kernel: it lacks too much", programs, k.compared)
			}
			if k.tooLarge > k.compared/20 { // older verifiers find fewer states to be like others
				t.Errorf("%d of %d programs are too large", k.tooLarge, k.compared)
			}
		}()
	}
	for seed := first; seed < first+programs; seed++ {
		if difference(generate.Program(choicesOf(seed)), contextsOf(seed), k) == nil {
			continue
		}
		report(t, seed, k)
		if failed++; failed == 3 {
			t.Fatal("there may be more")
		}
	}
}

// shrinking is how long a failure may be made smaller: a verifier that gives up on a program
// takes seconds for it in an emulator.
const shrinking = time.Minute

// report writes down what fails, and what it shrinks to.
func report(t *testing.T, seed uint64, k *kernel) {
	t.Helper()
	contexts := contextsOf(seed)
	first := difference(generate.Program(choicesOf(seed)), contexts, k)
	t.Errorf("seed %d: %.3000v", seed, first)
	end := time.Now().Add(shrinking)
	small := generate.Shrink(choicesOf(seed), 400, func(c generate.Choices) bool {
		if time.Now().After(end) {
			return false
		}
		err := difference(generate.Program(c), contexts, k)
		return err != nil && fmt.Sprintf("%.25s", err) == fmt.Sprintf("%.25s", first)
	})
	p := generate.Program(small)
	t.Errorf("seed %d, choices %v, contexts %x\n%v\n%v", seed, small, contexts, p, difference(p, contexts, k))
}
