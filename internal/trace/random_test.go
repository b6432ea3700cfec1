// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/generate"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	choices "github.com/skep-io/skep/internal/compile/generate"
	"github.com/skep-io/skep/internal/vm"
)

// More scripts than CI has time for: go test ./internal/trace -run RandomScripts -args -scripts 20000 -seed 7.
var (
	scripts = flag.Uint64("scripts", 1500, "random scripts to load and compare")
	seed    = flag.Uint64("seed", 0, "the first seed")
)

// placed are probes that are loaded, for the verifier's opinion, but not run.
var placed = []generate.Probe{
	{Point: "tracepoint:syscalls:sys_enter_openat", Words: []string{"args.flags", "args.mode", "args.dfd"}, Texts: []string{"str(args.filename)"}},
	{Point: "tracepoint:sched:sched_switch", Words: []string{"args.prev_pid", "args.next_prio"}, Texts: []string{"args.prev_comm", "args.next_comm"}},
	{Point: "tracepoint:sched:sched_process_exec", Words: []string{"args.pid"}, Texts: []string{"str(args.filename)"}},
	{Point: "rawtracepoint:sched_switch", Words: []string{"args.prev.pid", "args.next.real_parent.tgid", "args.prev.utime"}, Texts: []string{"args.prev.comm"}},
	{Point: "interval:s:1"}, {Point: "profile:hz:9", Words: []string{"nsecs"}}, {Point: "software:page-faults:100"},
}

// bench runs scripts on this thread, which stays on one processor.
type bench struct {
	memory []byte
	host   vm.Host
	loads  int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 64 {
		memory[i] = byte(r.Uint32())
	}
	copy(memory[64:], "abcdefghi\x00zz top\x00a\x00abcdefgh\x00a rather long text, longer than")
	b := &bench{memory: memory}
	b.host = vm.Host{
		PidTgid: uint64(os.Getpid())<<32 | uint64(unix.Gettid()), UidGid: uint64(os.Getgid())<<32 | uint64(os.Getuid()),
		Comm: threadName(), CPU: cpu, CPUs: theHost.Machine().CPUs, User: vm.Segments{b.address(): memory},
	}
	return b
}

func (b *bench) address() uint64 { return uint64(uintptr(unsafe.Pointer(&b.memory[0]))) }

func threadName() string {
	name := make([]byte, 16)
	_ = unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	return unix.ByteSliceToString(name)
}

// difference is nil if the kernel takes all programs of a script, and those that run on
// demand do there what the evaluation says.
func (b *bench) difference(c choices.Choices) error {
	program, errs := syntax.Parse(generate.Script(c, append(generate.OnDemand(), placed...)), []string{strconv.FormatUint(b.address(), 10)})
	if len(errs) > 0 {
		return errs.Err()
	}
	limits := bt.DefaultLimits()
	limits.RingBytes = 1 << 16
	script, problems := bt.Compile(program, theHost, bt.Options{Limits: limits})
	if script == nil {
		return fmt.Errorf("refused: %v", problems)
	}
	want, err := b.evaluated(script)
	if err != nil {
		return fmt.Errorf("evaluation: %w", err)
	}
	sets := []int{3}
	if theHost.Machine().CPUv4 {
		sets = append(sets, 4)
	}
	for _, cpu := range sets {
		got, err := b.inKernel(script, cpu)
		if err != nil {
			return fmt.Errorf("CPU %d: %w", cpu, err)
		}
		if got != want {
			return fmt.Errorf("CPU %d differs: got\n%s\nwant\n%s", cpu, got, want)
		}
	}
	return nil
}

// turns is how often every probe runs.
const turns = 2

func (b *bench) evaluated(script *bt.Script) (string, error) {
	m, err := generate.NewMachine(script, b.host)
	if err != nil {
		return "", err
	}
	for range turns {
		for _, p := range script.Probes {
			if p.Kind > bt.Self {
				continue
			}
			if _, err := evaluate.Run(p.Program, m.Machine, make([]byte, 96)); err != nil {
				return "", err
			}
		}
	}
	return generate.Left(script, m)
}

func (b *bench) inKernel(script *bt.Script, cpu int) (left string, err error) {
	var codes []*compile.Code
	for _, p := range script.Probes {
		code, err := compile.Compile(p.Program, compile.Options{CPU: cpu})
		if err != nil {
			return "", err
		}
		codes = append(codes, code)
	}
	s, err := Load(theHost, script, codes, Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b.loads += len(codes)
	for range turns {
		for i, p := range script.Probes {
			if p.Kind > bt.Self {
				continue
			}
			if err := s.group.Run(i); err != nil {
				return "", err
			}
		}
	}
	return generate.Left(script, kernelStore{s})
}

// kernelStore is what a script left in the kernel.
type kernelStore struct{ *Session }

func (k kernelStore) Entries(name string, fn func(key []byte, values [][]byte)) error {
	return k.group.Each(name, fn)
}

func (k kernelStore) Records() (records [][]byte) {
	k.ring.Pass(func(record []byte) { records = append(records, bytes.Clone(record)) })
	return records
}

// TestRandomScripts: the verifier takes every program of a random script, and in the kernel
// the script leaves what the representation means.
func TestRandomScripts(t *testing.T) {
	b, n := newBench(t), *scripts
	if os.Getenv("SKEP_KERNEL") != "" {
		n = min(n, 100) // an emulator is slow
	}
	failed := 0
	for seed, last := *seed, *seed+n; seed < last; seed++ {
		r := rand.New(rand.NewPCG(seed, 7))
		c := choices.Random(r, 30+r.IntN(350))
		first := b.difference(c)
		if first == nil {
			continue
		}
		small := choices.Shrink(c, 300, func(c choices.Choices) bool {
			err := b.difference(c)
			return err != nil && fmt.Sprintf("%.25s", err) == fmt.Sprintf("%.25s", first)
		})
		err := b.difference(small)
		var rejected *Rejected
		if errors.As(err, &rejected) {
			t.Log(strings.Join(rejected.Log, "\n"))
		}
		t.Errorf("seed %d: %v\n%s", seed, err, generate.Script(small, append(generate.OnDemand(), placed...)))
		if failed++; failed == 3 {
			t.Fatal("there may be more")
		}
	}
	t.Logf("%d programs were loaded", b.loads)
}
