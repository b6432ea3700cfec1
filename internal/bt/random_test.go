// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/generate"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	choices "github.com/skep-io/skep/internal/compile/generate"
	"github.com/skep-io/skep/internal/vm"
)

// More scripts than CI has time for: go test ./internal/bt -run RandomScripts -args -scripts 20000 -seed 7.
var (
	scripts = flag.Uint64("scripts", 1000, "random scripts to compare")
	seed    = flag.Uint64("seed", 0, "the first seed")
	first   = flag.Bool("first", false, "end with the first script that fails, as it is")
)

const memoryAt = 0x7000_0000

// randomMemory is what is at $1: numbers, then texts.
func randomMemory() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, generate.MemorySize)
	for i := range 64 {
		b[i] = byte(r.Uint32())
	}
	copy(b[64:], "abcdefghi\x00zz top\x00a\x00abcdefgh\x00a rather long text, longer than")
	return b
}

func randomHost() vm.Host {
	h := benchHost()
	h.CPUs, h.User = 2, vm.Segments{memoryAt: randomMemory()}
	return h
}

// randomProbes are those of the fake host that a script may have.
func randomProbes() []generate.Probe {
	return append(generate.OnDemand(),
		generate.Probe{Point: "tracepoint:syscalls:sys_enter_openat", Words: []string{"args.flags", "args.mode", "args.dfd"}, Texts: []string{"str(args.filename)"}},
		generate.Probe{Point: "tracepoint:sched:sched_switch", Words: []string{"args.prev_pid", "args.next_pid", "args.prev_state"}, Texts: []string{"args.prev_comm", "args.next_comm"}},
		generate.Probe{Point: "kprobe:vfs_read", Words: []string{"arg0", "arg2", "args.count"}},
		generate.Probe{Point: "kretprobe:vfs_read", Words: []string{"retval"}},
		generate.Probe{Point: "interval:s:1"})
}

func scriptChoices(seed uint64) choices.Choices {
	r := rand.New(rand.NewPCG(seed, 6))
	return choices.Random(r, 30+r.IntN(350))
}

// compileRandom is the script of some choices; it must be accepted.
func compileRandom(text string) (*bt.Script, error) {
	program, errs := syntax.Parse(text, []string{fmt.Sprint(memoryAt)})
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	script, problems := bt.Compile(program, &fakeHost{}, bt.Options{Limits: bt.DefaultLimits()})
	if script == nil {
		return nil, fmt.Errorf("%v", problems)
	}
	return script, nil
}

// code compiles programs; it may make a mistake.
type compiler func(p *compile.Program) (*compile.Code, error)

// runRandom runs all probes of a script, by evaluation if there is no compiler.
func runRandom(script *bt.Script, seed uint64, c compiler) (string, error) {
	m, err := generate.NewMachine(script, randomHost())
	if err != nil {
		return "", err
	}
	var out strings.Builder
	r := rand.New(rand.NewPCG(seed, 8))
	for range 2 {
		for _, p := range script.Probes {
			context := make([]byte, 512)
			for i := range context {
				context[i] = byte(r.Uint32() >> r.IntN(32))
			}
			var r0 uint64
			if c == nil {
				r0, err = evaluate.Run(p.Program, m.Machine, context)
			} else {
				r0, err = runCompiled(p.Program, m.Machine, context, c)
			}
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "%d returns %d\n", p.Kind, r0)
		}
	}
	left, err := generate.Left(script, m)
	return out.String() + left, err
}

func runCompiled(p *compile.Program, m *vm.Machine, context []byte, c compiler) (uint64, error) {
	code, err := c(p)
	if err != nil {
		return 0, err
	}
	loaded, err := m.Load("probe", code.Instructions)
	if err != nil {
		return 0, err
	}
	return m.Run(loaded, context)
}

func forCPU(cpu int) compiler {
	return func(p *compile.Program) (*compile.Code, error) { return compile.Compile(p, compile.Options{CPU: cpu}) }
}

// scriptDifference is nil if an evaluation and both instruction sets do the same.
func scriptDifference(c choices.Choices, seed uint64) error {
	script, err := compileRandom(generate.Script(c, randomProbes()))
	if err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	want, err := runRandom(script, seed, nil)
	if err != nil {
		return fmt.Errorf("evaluation: %w", err)
	}
	for _, cpu := range []int{3, 4} {
		got, err := runRandom(script, seed, forCPU(cpu))
		if err != nil {
			return fmt.Errorf("CPU %d: %w", cpu, err)
		}
		if got != want {
			return fmt.Errorf("CPU %d differs: got\n%s\nwant\n%s", cpu, got, want)
		}
	}
	return nil
}

// TestRandomScripts: the front end accepts every random script, and what its programs mean
// and what their bytecode does in the machine are the same.
func TestRandomScripts(t *testing.T) {
	failed := 0
	for seed, last := *seed, *seed+*scripts; seed < last; seed++ {
		c := scriptChoices(seed)
		found := scriptDifference(c, seed)
		if found == nil {
			continue
		}
		if *first {
			t.Fatalf("seed %d: %v", seed, found)
		}
		small := choices.Shrink(c, 300, func(c choices.Choices) bool {
			err := scriptDifference(c, seed)
			return err != nil && fmt.Sprintf("%.25s", err) == fmt.Sprintf("%.25s", found)
		})
		t.Errorf("seed %d: %v\n%s", seed, scriptDifference(small, seed), generate.Script(small, randomProbes()))
		if failed++; failed == 3 {
			t.Fatal("there may be more")
		}
	}
}
