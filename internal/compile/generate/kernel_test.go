// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// kernel runs programs with maps of its own.
type kernel struct {
	out, table, ring *ebpf.Map
	records          *ringbuf.Reader
	compared         int
	tooLarge         int            // of these, for the verifier
	cpus             []int          // versions of the instruction set that it has
	lacks            map[int64]bool // helpers that it has not
}

// helpersOfAge are those that came after the oldest kernel that runs programs here.
var helpersOfAge = []asm.BuiltinFunc{asm.FnLoop, asm.FnForEachMapElem}

func (k *kernel) probe(t testing.TB) {
	t.Helper()
	k.cpus, k.lacks = []int{3}, map[int64]bool{}
	signed, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 1), asm.MovSX8.Reg(asm.R0, asm.R1), asm.Return(),
	}})
	if err == nil { // features.HaveV4ISA says yes of 6.1, which has jumps of 32 bits only
		signed.Close()
		k.cpus = append(k.cpus, 4)
	}
	for _, fn := range helpersOfAge {
		if err := features.HaveProgramHelper(ebpf.RawTracepoint, fn); errors.Is(err, ebpf.ErrNotSupported) {
			k.lacks[int64(fn)] = true
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// has tells whether the kernel has what a program calls.
func (k *kernel) has(p *compile.Program) bool {
	for _, f := range p.Funcs {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op == compile.Call && k.lacks[v.Imm] {
					return false
				}
			}
		}
	}
	return true
}

func newKernel(t testing.TB) *kernel {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it loads programs into the kernel")
	}
	_ = rlimit.RemoveMemlock() // only old kernels need it
	made := func(spec ebpf.MapSpec) *ebpf.Map {
		m, err := ebpf.NewMap(&spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	k := &kernel{
		ring:  made(ebpf.MapSpec{Name: generate.Ring, Type: ebpf.RingBuf, MaxEntries: generate.RingSize}),
		out:   made(ebpf.MapSpec{Name: generate.Out, Type: ebpf.Array, KeySize: 4, ValueSize: generate.OutSize, MaxEntries: 1}),
		table: made(ebpf.MapSpec{Name: generate.Table, Type: ebpf.Hash, KeySize: 8, ValueSize: generate.TableSize, MaxEntries: tableEntries}),
	}
	records, err := ringbuf.NewReader(k.ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	records.SetDeadline(time.Now().Add(-time.Second)) // only what is there
	k.records = records
	k.probe(t)
	return k
}

// run loads code and runs it in each context. A refusal of the verifier is the only state's
// fault.
func (k *kernel) run(code *compile.Code, contexts [][]byte) []state {
	p, err := k.load(code)
	if err != nil {
		return []state{{fault: err}}
	}
	defer p.Close()
	var states []state
	for _, context := range contexts {
		states = append(states, k.runIn(p, context))
	}
	return states
}

func (k *kernel) load(code *compile.Code) (*ebpf.Program, error) {
	insns := append(asm.Instructions(nil), code.Instructions...)
	for name, m := range map[string]*ebpf.Map{generate.Out: k.out, generate.Table: k.table, generate.Ring: k.ring} {
		if err := insns.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			return nil, err
		}
	}
	// Not the whole log: of a program that the verifier gives up on that is a million lines.
	return ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: insns, License: "GPL"},
		ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats})
}

func (k *kernel) runIn(p *ebpf.Program, context []byte) state {
	if err := k.reset(); err != nil {
		return state{fault: err}
	}
	r0, err := p.Run(&ebpf.RunOptions{Context: context})
	if err != nil {
		return state{fault: err}
	}
	return k.left(r0)
}

func (k *kernel) reset() error {
	if err := k.out.Put(uint32(0), make([]byte, generate.OutSize)); err != nil {
		return err
	}
	first := tableAtFirst()
	for key := range uint64(generate.TableKeys) {
		if _, stays := first[key]; !stays {
			if err := k.table.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
		}
	}
	for key, value := range first {
		if err := k.table.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (k *kernel) left(r0 uint32) state {
	s := state{r0: r0, table: map[uint64]string{}}
	if s.out, s.fault = k.out.LookupBytes(uint32(0)); s.fault != nil {
		return s
	}
	for key := range uint64(generate.TableKeys) {
		value, err := k.table.LookupBytes(key)
		if err != nil {
			s.fault = err
		} else if value != nil {
			s.table[key] = string(bytes.Clone(value))
		}
	}
	for {
		record, err := k.records.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return s
		}
		if err != nil {
			s.fault = err
			return s
		}
		s.ring = append(s.ring, string(record.RawSample))
	}
}
