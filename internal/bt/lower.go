// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Names of the maps that every script may have beside its own.
const (
	ringMap = "ring"
	lossMap = "loss"
	fullMap = "full"
	// identityMap is the agent's table of processes.
	identityMap = "processes"
	scratchMap  = "scratch"
	zerosMap    = "zeros"
	startMap    = "start"
)

// output collects what all units add to the script.
type output struct {
	actions    []Action
	usesStart  bool
	usesFull   bool
	identifies bool
	stacks     map[string]int // frames by the map's name
	zeros      int            // bytes of 0 that are needed
	scratch    int            // bytes of scratch memory that are needed
	room       int            // values and blocks that may still be made
}

// mostParts bounds the values and blocks of all programs of a script: more take seconds to
// compile, and the verifier looks at a million instructions of a program at most.
const mostParts = 150_000

func (o *output) builder(name string, result compile.Type, params ...compile.Type) *compile.Builder {
	b := compile.NewBuilder(name, result, params...)
	b.Room = &o.room
	return b
}

// lowering builds one function of a unit's program.
type lowering struct {
	*script
	out  *output
	unit *unit
	main *program
	b    *compile.Builder
	ctx  *compile.Value
	// object tells that an object of the kernel is wanted as one, as path() does.
	object bool
	// where is the expression that is built.
	where compile.Pos
	// words are the variables of isWord types, by variable.index.
	words map[*variable]compile.Variable
	// scratch is where this function finds the scratch memory, or nil.
	scratch *compile.Value
	loop    *loopTargets
	// callback is set inside of the body of a loop over a map.
	callback *callback
	// iterated are the objects of an iterator, by the number of the argument.
	iterated map[int]*compile.Value
	// frame counts bytes of slots that the statement took so far.
	frame int
}

// program is what the functions of one unit share.
type program struct {
	index       int // of the probe in the script
	funcs       []*compile.Func
	maps        map[string]compile.MapShape
	places      map[*variable]int // offsets of variables in scratch memory
	persistent  int               // bytes of them
	temporary   int               // bytes that the statement took behind them
	mostScratch int
	useScratch  bool
	early       bool // already the predicate needs scratch memory
	callbacks   int
	subprograms map[string]bool
}

// loopTargets are where break and continue lead.
type loopTargets struct{ next, after *compile.Block }

// lowerUnit makes the program of a unit. Scratch memory is looked up at the start, if it
// turns out that any is needed: the unit is then built once more.
func (s *script) lowerUnit(u *unit, index int, out *output) *compile.Program {
	actions, room := len(out.actions), out.room
	early := false
	for useScratch := false; ; useScratch = true {
		out.actions, out.room = out.actions[:actions], room
		p := &program{
			index: index, maps: map[string]compile.MapShape{}, places: map[*variable]int{},
			useScratch: useScratch, early: early, subprograms: map[string]bool{},
		}
		s.buildUnit(u, p, out)
		early = p.early
		if p.mostScratch > scratchSize {
			s.errorf(u.pos, "the texts and tuples of this probe take %d bytes; at most %d are possible: make max_strlen smaller",
				p.mostScratch, scratchSize)
			return &compile.Program{Funcs: p.funcs, Maps: p.maps}
		}
		if p.mostScratch == 0 || useScratch {
			out.scratch = max(out.scratch, p.mostScratch)
			return &compile.Program{Funcs: p.funcs, Maps: p.maps}
		}
	}
}

func (s *script) buildUnit(u *unit, p *program, out *output) {
	s.placeVariables(u, p)
	inVariables := p.mostScratch
	f := &lowering{script: s, out: out, unit: u, main: p, words: map[*variable]compile.Variable{}}
	f.b = out.builder(programName(u), compile.Word, compile.Context)
	f.b.Pos = u.pos
	p.funcs = append(p.funcs, f.b.Func)
	f.ctx = f.b.Parameter(0)
	f.filter()
	f.requireStand()
	f.openIterator()
	if p.early {
		f.openScratch()
	}
	if u.probe.Predicate != nil {
		f.b.Pos = u.probe.Predicate.Position()
		go_, stop := f.b.NewBlock(), f.b.NewBlock()
		f.branch(u.probe.Predicate, go_, stop)
		f.b.Seal(go_)
		f.b.Seal(stop)
		f.b.Enter(stop)
		f.b.Return(f.b.Const(0))
		f.b.Enter(go_)
	}
	if !p.early {
		p.early = p.mostScratch > inVariables
		f.openScratch()
	}
	f.declareVariables()
	f.block(u.probe.Body)
	f.b.Pos = u.pos
	if u.arms != nil {
		f.tellAddress(u.arms)
	}
	f.leave()
}

// leave ends the program, or the callback, here.
func (f *lowering) leave() {
	if f.callback != nil {
		f.endCallback(0)
		return
	}
	f.b.Return(f.b.Const(0))
}

func programName(u *unit) string {
	if u.fn != nil {
		return u.fn.decl.Name
	}
	return "probe"
}

// openScratch finds this processor's scratch memory.
func (f *lowering) openScratch() {
	if !f.main.useScratch {
		return
	}
	f.useMap(scratchMap, compile.MapShape{KeySize: 4, ValueSize: scratchSize, PerCPU: true})
	key := f.b.Slot(word)
	f.b.Store(key, 0, 4, f.b.Const(int64(f.main.index)))
	p := f.b.Call(fnLookup, compile.NullableMapValue, f.b.Map(scratchMap), key)
	missing := f.b.NewBlock()
	missing.Unlikely = true
	f.scratch = f.b.NonNull(p, missing)
	there := f.b.Block()
	f.b.Seal(missing)
	f.b.Enter(missing)
	if f.callback != nil {
		f.b.Return(f.b.Const(1))
	} else {
		f.b.Return(f.b.Const(0))
	}
	f.b.Enter(there)
}

// scratchSize is what a program's scratch memory is at most, in bytes.
const scratchSize = 30 << 10

func (f *lowering) useMap(name string, shape compile.MapShape) { f.main.maps[name] = shape }

// inRegister tells whether a variable is a word; anything larger is in scratch memory.
func (v *variable) inRegister() bool { return v.typ.isWord() || v.typ.Kind == None }

// declareVariables begins the words of a function with 0.
func (f *lowering) declareVariables() {
	for _, v := range f.unit.variables {
		if v.inRegister() {
			w := f.b.NewVariable(compile.Word)
			f.b.Write(w, f.b.Const(0))
			f.words[v] = w
		}
	}
}

// placeVariables gives what is no word a place in scratch memory, before anything else is
// put there: that of a unit and of the functions that it may call.
func (s *script) placeVariables(u *unit, p *program) {
	units := []*unit{u}
	for _, name := range sortedNames(s.subprograms) {
		units = append(units, s.subprograms[name].unit)
	}
	for _, one := range units {
		one.findLoose()
		for _, v := range one.variables {
			if !v.inRegister() {
				p.places[v] = p.persistent
				p.persistent += v.typ.stored()
			}
		}
	}
	p.mostScratch = p.persistent
}

// filter ends the program where the user restricted it to a process or to cgroups.
func (f *lowering) filter() {
	switch f.unit.kind {
	case Begin, End, Self, Interval, Iterator:
		return
	}
	if pid := f.options.PID; pid != 0 {
		own := f.b.Binary(compile.LShr, f.b.Call(fnPIDTGID, compile.Word), f.b.Const(32))
		f.require(f.b.Binary(compile.Equal, own, f.b.Const(int64(pid))))
	}
	if f.options.Cgroups != nil {
		f.requireCgroup()
	}
}

// require goes on only where a condition holds.
func (f *lowering) require(condition *compile.Value) {
	yes, no := f.b.NewBlock(), f.b.NewBlock()
	f.b.Branch(condition, yes, no)
	f.b.Seal(yes)
	f.b.Seal(no)
	f.b.Enter(no)
	f.b.Return(f.b.Const(0))
	f.b.Enter(yes)
}

func (f *lowering) requireCgroup() {
	var id *compile.Value
	if f.options.CgroupsOfIdentity {
		id = f.cgroupOfIdentity()
	} else {
		id = f.b.Call(fnCgroupID, compile.Word)
	}
	found := f.b.NewBlock()
	for _, want := range f.options.Cgroups {
		other := f.b.NewBlock()
		f.b.Branch(f.b.Binary(compile.Equal, id, f.b.Const(int64(want))), found, other)
		f.b.Seal(other)
		f.b.Enter(other)
	}
	f.b.Return(f.b.Const(0))
	f.b.Seal(found)
	f.b.Enter(found)
}

// word is a word of a constant.
func (f *lowering) constant(n int64) *compile.Value { return f.b.Const(n) }

// typeOf is what the checker found of an expression.
func (f *lowering) typeOf(x syntax.Expr) Type { return f.unit.types[x] }
