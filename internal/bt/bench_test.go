// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	"github.com/skep-io/skep/internal/vm"
)

// compiled compiles a script that must be right.
func compiled(t *testing.T, text string, o bt.Options) *bt.Script {
	t.Helper()
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatalf("parse %s: %v", text, errs.Err())
	}
	script, problems := bt.Compile(program, &fakeHost{}, o)
	if script == nil {
		t.Fatalf("compile %s: %v", text, problems)
	}
	return script
}

// rig runs a script in two machines: one the bytecode, the other the representation.
type rig struct {
	t       *testing.T
	script  *bt.Script
	code    *vm.Machine
	direct  *vm.Machine
	records []string
	values  []string // what the records carry, each as text
}

func newRig(t *testing.T, text string, o bt.Options) *rig {
	t.Helper()
	r := &rig{t: t, script: compiled(t, text, o)}
	r.code, r.direct = r.machine(), r.machine()
	return r
}

func (r *rig) machine() *vm.Machine {
	kinds := map[bt.MapKind]vm.MapType{
		bt.Hash: vm.Hash, bt.PerCPUHash: vm.PerCPUHash, bt.LRUHash: vm.LRUHash, bt.LRUPerCPUHash: vm.LRUPerCPUHash,
		bt.Array: vm.Array, bt.PerCPUArray: vm.PerCPUArray, bt.Ring: vm.RingBuffer, bt.StackTrace: vm.StackTrace,
	}
	var specs []vm.MapSpec
	for _, m := range r.script.Maps {
		specs = append(specs, vm.MapSpec{Name: m.Name, Type: kinds[m.Kind], KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries})
	}
	m, err := vm.New(vm.Options{Maps: specs, Host: &vm.Host{CPUs: 2}})
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// host sets what programs see, in both machines.
func (r *rig) host(h vm.Host) *rig {
	if h.CPUs == 0 {
		h.CPUs = 2
	}
	a, b := h, h
	r.code.Host, r.direct.Host = &a, &b
	return r
}

// fire runs the i-th probe with a context.
func (r *rig) fire(i int, context []byte) *rig {
	r.t.Helper()
	program := r.script.Probes[i].Program
	if err := program.Check(); err != nil {
		r.t.Fatalf("check: %v\n%s", err, program)
	}
	code, err := compile.Compile(program, compile.Options{CPU: 4})
	if err != nil {
		r.t.Fatalf("compile: %v\n%s", err, program)
	}
	loaded, err := r.code.Load("probe", code.Instructions)
	if err != nil {
		r.t.Fatalf("load: %v", err)
	}
	got, err := r.code.Run(loaded, append([]byte(nil), context...))
	if err != nil {
		r.t.Fatalf("run: %v\n%v", err, code.Instructions)
	}
	want, err := evaluate.Run(program, r.direct, append([]byte(nil), context...))
	if err != nil {
		r.t.Fatalf("evaluate: %v\n%s", err, program)
	}
	if got != want {
		r.t.Fatalf("the code returns %d, the evaluation %d\n%s", got, want, program)
	}
	return r
}

// output are the records so far, as text, the same from both machines.
func (r *rig) output() []string {
	r.t.Helper()
	a, b := r.drain(r.code), r.drain(r.direct)
	if strings.Join(a, "\n") != strings.Join(b, "\n") {
		r.t.Fatalf("the code writes %q, the evaluation %q", a, b)
	}
	r.records = append(r.records, a...)
	return r.records
}

// carried is what the records so far carry, without what they are.
func (r *rig) carried() string {
	r.t.Helper()
	r.output()
	return strings.Join(r.values, " ")
}

func (r *rig) drain(m *vm.Machine) []string {
	var out []string
	for _, record := range m.Map("ring").Records() {
		action := r.script.Actions[binary.LittleEndian.Uint64(record)]
		if len(record) != action.Size {
			r.t.Fatalf("a record has %d bytes, its action says %d", len(record), action.Size)
		}
		var args []string
		for _, f := range action.Args {
			args = append(args, show(f.Type, record[f.Offset:]))
		}
		if m == r.code {
			r.values = append(r.values, strings.Join(args, "|"))
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s%s %s", action.Kind, action.Format, action.Map, strings.Join(args, "|"))))
	}
	return out
}

// contents are a map's entries as key=value, the same in both machines.
func (r *rig) contents(name string) string {
	r.t.Helper()
	a, b := r.entries(r.code, name), r.entries(r.direct, name)
	if a != b {
		r.t.Fatalf("%s holds %q by the code, %q by the evaluation", name, a, b)
	}
	return a
}

func (r *rig) entries(m *vm.Machine, name string) string {
	for _, d := range r.script.Maps {
		if d.Name != name {
			continue
		}
		var out []string
		for _, key := range m.Map(name).Keys() {
			var values []string
			perCPU := d.Kind == bt.PerCPUHash || d.Kind == bt.PerCPUArray || d.Kind == bt.LRUPerCPUHash
			for cpu := range 2 {
				if perCPU || cpu == 0 {
					values = append(values, show(d.Value, m.Map(name).LookupCPU(key, cpu)))
				}
			}
			out = append(out, show(d.Key, key)+"="+strings.Join(values, ","))
		}
		return strings.Join(out, " ")
	}
	r.t.Fatalf("there is no map %s", name)
	return ""
}

// counted is the first word of a map of counters, the same in both machines.
func (r *rig) counted(name string) int {
	r.t.Helper()
	a, b := r.code.Map(name).Lookup(make([]byte, 4)), r.direct.Map(name).Lookup(make([]byte, 4))
	if string(a) != string(b) {
		r.t.Fatalf("%s counts %x by the code, %x by the evaluation", name, a, b)
	}
	return int(binary.LittleEndian.Uint64(a))
}

// show is a value by its type.
func show(t bt.Type, b []byte) string {
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	switch t.Kind {
	case bt.None:
		return ""
	case bt.String:
		text, _, _ := strings.Cut(string(b[:t.Size]), "\x00")
		return text
	case bt.Buffer:
		return fmt.Sprintf("%x", b[4:4+binary.LittleEndian.Uint32(b)])
	case bt.Tuple:
		var parts []string
		for _, f := range t.Fields {
			parts = append(parts, show(f.Type, b[f.Offset:]))
		}
		return strings.Join(parts, ",")
	case bt.ArrayOf, bt.Record, bt.MACAddress:
		return fmt.Sprintf("%x", b[:t.Size])
	case bt.HistogramOf, bt.LinearHistogramOf:
		var parts []string
		for i := 0; i < t.Size/8; i++ {
			if n := u(i * 8); n != 0 {
				parts = append(parts, fmt.Sprintf("%d:%d", i, n))
			}
		}
		return strings.Join(parts, ";")
	case bt.MinOf, bt.MaxOf, bt.AvgOf, bt.StatsOf, bt.UStack, bt.USymbol:
		return fmt.Sprintf("%d/%d", int64(u(0)), u(8))
	case bt.InetAddress:
		return fmt.Sprintf("%d:%x", u(0), b[8:24])
	}
	if t.Signed {
		return fmt.Sprint(int64(u(0)))
	}
	return fmt.Sprint(u(0))
}

// words is a context of so many 8-byte words.
func words(list ...uint64) []byte {
	var b []byte
	for _, w := range list {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}
