// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Identity is what an agent knows of the processes of its host. Who compiles a script with
// one gives it the map "processes", which has a struct process of bpf/include/identity.h for
// each of them, by its tgid.
type Identity interface {
	// Cgroups are the identifiers of the cgroups of what has a name: containers, or pods, as
	// the kind says. They are of the hierarchy that struct process.cgroup_id is of.
	Cgroups(kind Kind, name string) []uint64
}

// Parts of struct process, in bytes.
const (
	processSize   = 64
	processStart  = 0
	processTgid   = 16
	processCgroup = 48
	execIDSize    = 24 // struct exec_id: start_ns, exec_ns, tgid
)

func identityBuiltins() []*builtin {
	return []*builtin{
		{name: "exec_id", doc: "identifier of the program that the process runs", check: identified(ExecID), lower: (*lowering).execID},
		{name: "exe", doc: "path of the program that the process runs", check: identified(Executable), lower: (*lowering).execID},
		{name: "ancestors", doc: "programs of the parent, its parent and so on", check: identified(Ancestors), lower: (*lowering).execID},
		{name: "container", doc: "name of the container of the process", check: identified(Container), lower: (*lowering).workload},
		{name: "pod", doc: "name of the pod of the process", check: identified(Pod), lower: (*lowering).workload},
	}
}

// identified builds the check of a builtin that the agent tells of.
func identified(kind Kind) func(*checker, *syntax.Name) Type {
	t := Type{Kind: kind, Size: execIDSize}
	if kind == Container || kind == Pod {
		t.Size = word
	}
	return func(c *checker, x *syntax.Name) Type {
		if c.options.Identity == nil {
			return c.errorf(x.Pos, "%s is told by the agent's table of processes, and this agent has none", x.Name)
		}
		for _, field := range []string{"group_leader", "start_boottime"} {
			if _, ok := c.findMember(taskStruct, field, 0); !ok {
				return c.errorf(x.Pos, "%s needs the types of this kernel (BTF), which has no %s->%s", x.Name, taskStruct, field)
			}
		}
		return t
	}
}

const taskStruct = "struct task_struct"

// comparesName checks a comparison of a container or pod with a name, if x is one.
func (c *checker) comparesName(x *syntax.Binary, left, right Type) (Type, bool) {
	if right.Kind >= Container && right.Kind <= Ancestors {
		left, right = right, left
	}
	if left.Kind < Container || left.Kind > Ancestors || right.Kind != String || x.Op != syntax.Equal && x.Op != syntax.NotEqual {
		return noType, false
	}
	if left.Kind != Container && left.Kind != Pod {
		return c.hintf(x.Pos, "compare comm, or use it as a key and look for it there",
			"%s gets its name only when it is shown: the kernel knows a number", left), true
	}
	name, ok := namedText(x)
	if !ok || name == "" {
		return c.errorf(x.Pos, "a %s is compared with a name that stands in the script", left), true
	}
	switch n := len(c.cgroupsOf(left.Kind, name)); {
	case n == 0:
		return c.errorf(x.Pos, "no %s of the name %s runs", left, name), true
	case n > mostCgroups:
		return c.errorf(x.Pos, "%s %s has %d cgroups; %d are compared at most", left, name, n, mostCgroups), true
	}
	return int64Type, true
}

// mostCgroups bounds the comparisons that a name becomes.
const mostCgroups = 256

func namedText(x *syntax.Binary) (string, bool) {
	if s, ok := literalText(x.Right); ok {
		return s, true
	}
	return literalText(x.Left)
}

// named is what was asked for: it has the same cgroups in all of a script.
type named struct {
	kind Kind
	name string
}

func (s *script) cgroupsOf(kind Kind, name string) []uint64 {
	key := named{kind, name}
	ids, asked := s.cgroups[key]
	if !asked {
		ids = s.options.Identity.Cgroups(kind, name)
		s.cgroups[key] = ids
	}
	return ids
}

// namedPlace is, of a comparison of a container or pod with a name, what is compared, and the
// cgroups of that name.
func (f *lowering) namedPlace(x *syntax.Binary) (of syntax.Expr, cgroups []uint64, ok bool) {
	of = x.Left
	if right := f.typeOf(x.Right); right.Kind == Container || right.Kind == Pod {
		of = x.Right
	}
	t := f.typeOf(of)
	name, literal := namedText(x)
	if t.Kind != Container && t.Kind != Pod || !literal {
		return nil, nil, false
	}
	return of, f.cgroupsOf(t.Kind, name), true
}

// isNamed is 1 if the cgroup is one of some, or, for !=, if it is none.
func (f *lowering) isNamed(op syntax.Op, of syntax.Expr, cgroups []uint64) *compile.Value {
	id, found := f.eval(of).word, f.b.NewBlock()
	for _, one := range cgroups {
		f.unless(f.b.Binary(compile.NotEqual, id, f.constant(int64(one))), found)
	}
	return f.verdict(op == syntax.NotEqual, found)
}

// execID builds the identifier of what the process runs: from the agent's table or, if the
// process is not there, without the time of its exec.
func (f *lowering) execID(x *syntax.Name) value {
	t := f.typeOf(x)
	to := f.memory(execIDSize)
	f.process(func(record *compile.Value) {
		f.b.Copy(to.base, to.offset, record, execIDSize)
	}, nil, func(start *compile.Value) {
		f.b.Store(to.base, to.offset, word, start)
		f.b.Zero(to.base, to.offset+word, word)
		f.b.Store(to.base, to.offset+processTgid, word, f.pid(nil).word)
	})
	return value{typ: t, at: to}
}

// workload builds the identifier of the cgroup that tells containers apart.
func (f *lowering) workload(x *syntax.Name) value {
	return value{typ: f.typeOf(x), word: f.cgroupOfIdentity()}
}

func (f *lowering) cgroupOfIdentity() *compile.Value {
	id, first := f.b.NewVariable(compile.Word), (*compile.Value)(nil)
	f.process(func(record *compile.Value) { first = f.b.Load(record, processCgroup, word, false) },
		func() { f.b.Write(id, first) },
		func(*compile.Value) { f.b.Write(id, f.b.Call(fnCgroupID, compile.Word)) })
	return f.b.Read(id)
}

// process builds what takes something from the record of the process that runs, and what is
// done where it has none. A record that is deleted is another process's at once: whose it
// was is looked at behind the taking, by the time at which the process started.
func (f *lowering) process(take func(record *compile.Value), taken func(), missing func(start *compile.Value)) {
	f.out.identifies = true
	f.useMap(identityMap, compile.MapShape{KeySize: 4, ValueSize: processSize})
	start, tgid := f.startOfProcess(), f.pid(nil).word
	none, after := f.b.NewBlock(), f.b.NewBlock()
	key := f.b.Slot(word)
	f.b.Store(key, 0, 4, tgid)
	record := f.b.NonNull(f.b.Call(fnLookup, compile.NullableMapValue, f.b.Map(identityMap), key), none)
	take(record)
	f.unless(f.b.Binary(compile.Equal, f.b.Load(record, processStart, word, false), start), none)
	f.unless(f.b.Binary(compile.Equal, f.b.Load(record, processTgid, 4, false), tgid), none)
	if taken != nil {
		taken()
	}
	f.b.Jump(after)
	f.arm(none, after, func() { missing(start) })
	f.b.Seal(after)
	f.b.Enter(after)
}

// startOfProcess is the boot time in nanoseconds at which the process started.
func (f *lowering) startOfProcess() *compile.Value {
	leader, _ := f.findMember(taskStruct, "group_leader", 0)
	started, _ := f.findMember(taskStruct, "start_boottime", 0)
	task := f.b.Call(fnTask, compile.Word)
	of := f.loadAt(place{space: inKernel, base: task, offset: int64(leader.Offset)}, word, false)
	return f.loadAt(place{space: inKernel, base: of, offset: int64(started.Offset)}, word, false)
}
