// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Compile makes of a script what is loaded and attached on a host. What is wrong with it is
// told, all at once and in the order of the text; there is then no script.
func Compile(program *syntax.Program, host Host, options Options) (*Script, []Diagnostic) {
	s := newScript(program, host, options)
	s.final = true
	s.declarations()
	s.expandProbes()
	s.final = false
	if len(s.problems) == 0 {
		s.check()
	}
	if len(s.problems) > 0 {
		return nil, s.failed()
	}
	out := &output{stacks: map[string]int{}, room: mostParts}
	script := s.lower(out)
	if len(s.problems) > 0 {
		return nil, s.failed()
	}
	script.Warnings = s.sorted(s.warnings)
	return script, nil
}

func newScript(program *syntax.Program, host Host, options Options) *script {
	limits := options.Limits
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	return &script{
		host: host, machine: host.Machine(), options: options, limits: limits, program: program,
		functions: functionTable(), builtins: builtinTable(), maps: map[string]*mapInfo{},
		subprograms: map[string]*subprogram{}, empty: map[string]bool{}, reported: map[Diagnostic]bool{}, cgroups: map[named][]uint64{},
	}
}

// failed are the reasons why there is no script. A probe without a place is one of them: what
// it would have assigned is missing elsewhere.
func (s *script) failed() []Diagnostic { return s.sorted(append(s.problems, s.unmatched...)) }

func (s *script) sorted(list []Diagnostic) []Diagnostic {
	slices.SortStableFunc(list, func(a, b Diagnostic) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Column - b.Pos.Column
	})
	return list
}

// declarations reads what stands in front of the probes.
func (s *script) declarations() {
	s.define()
	s.settings()
	s.expandMacros()
	for _, decl := range s.program.Maps {
		s.declareMap(decl)
	}
	for _, fn := range s.program.Functions {
		s.declareFunction(fn)
	}
}

func (s *script) declareMap(decl *syntax.MapDecl) {
	if _, ok := declaredKind(decl.Kind); !ok {
		s.errorf(decl.Pos, "there is no kind of map %s: hash, lruhash, percpuhash, percpulruhash or percpuarray", decl.Kind)
		return
	}
	if s.maps[decl.Name] != nil {
		s.errorf(decl.Pos, "%s is declared twice", decl.Name)
		return
	}
	if decl.Max < 1 || decl.Max > mostEntries {
		s.errorf(decl.Pos, "%s must have room for 1 to %d entries", decl.Name, mostEntries)
	}
	info := &mapInfo{name: decl.Name, valuePos: decl.Pos, declared: decl}
	s.maps[decl.Name] = info
	s.mapOrder = append(s.mapOrder, info)
}

// mostEntries bounds a map that the script sizes.
const mostEntries = 1 << 24

// mostParameters of a function: BPF passes them in five registers.
const mostParameters = 5

func (s *script) declareFunction(fn *syntax.Function) {
	if s.functions[fn.Name] != nil || s.subprograms[fn.Name] != nil {
		s.errorf(fn.Pos, "there is a function %s already", fn.Name)
		return
	}
	if len(fn.Params) > mostParameters {
		s.errorf(fn.Pos, "%s has %d parameters; at most %d are possible", fn.Name, len(fn.Params), mostParameters)
	}
	u := newUnit(Begin, nil, fn.Pos, nil)
	p := &subprogram{decl: fn, unit: u}
	u.fn = p
	c := &checker{script: s, unit: u, scope: &scope{names: map[string]*variable{}}}
	for _, param := range fn.Params {
		t := c.resolve(param.Type)
		if t.Kind != None && !t.isWord() {
			s.errorf(param.Pos, "a parameter is an integer or a pointer, not %s", t)
		}
		p.params = append(p.params, t)
	}
	if fn.Result != nil && fn.Result.Name != "void" {
		if p.result = c.resolve(fn.Result); p.result.Kind != None && !p.result.isWord() {
			s.errorf(fn.Result.Pos, "a function returns an integer or a pointer, not %s", p.result)
		}
	}
	s.subprograms[fn.Name] = p
}

// lower makes the programs and maps of a script without problems.
func (s *script) lower(out *output) *Script {
	script := &Script{Limits: s.limits, Enums: s.enums}
	if len(s.units) > min(s.limits.MaxPrograms, maxPrograms) {
		s.errorf(s.program.Pos, "the script needs %d programs; at most %d are allowed (max_bpf_progs)",
			len(s.units), s.limits.MaxPrograms)
		return nil
	}
	for _, u := range s.units {
		u.firstName = len(script.ProbeNames)
		for i := range u.targets {
			u.targets[i].Cookie = uint64(len(script.ProbeNames))
			script.ProbeNames = append(script.ProbeNames, u.targets[i].Name)
			script.FunctionNames = append(script.FunctionNames, u.targets[i].Function)
		}
	}
	for i, u := range s.units {
		program, err := s.guard(u, i, out)
		if errors.Is(err, compile.ErrTooLarge) {
			s.errorf(u.pos, "the script is too large: its programs take more than %d operations together; this probe is where there is no room left", mostParts)
			return nil
		}
		if err != nil {
			s.errorf(u.pos, "compile: %v", err)
			continue
		}
		script.Probes = append(script.Probes, Probe{Kind: u.kind, Program: program, Targets: u.targets, Pos: u.pos})
	}
	script.Actions = out.actions
	script.Maps = s.layMaps(out)
	for _, p := range script.Probes {
		fixShapes(p.Program, script.Maps)
	}
	return script
}

// guard lowers a unit; a misuse of the builder is a fault of this package, told as such.
func (s *script) guard(u *unit, index int, out *output) (program *compile.Program, err error) {
	defer func() {
		var misuse *compile.BuildError
		if r := recover(); r != nil {
			e, ok := r.(error)
			if ok && errors.Is(e, compile.ErrTooLarge) {
				err = e
				return
			}
			if !ok || !errors.As(e, &misuse) {
				panic(r)
			}
			err = fmt.Errorf("a fault of the compiler, not of the script: %w", misuse)
		}
	}()
	return s.lowerUnit(u, index, out), nil
}

// layMaps describes all maps: those of the script first.
func (s *script) layMaps(out *output) []Map {
	var maps []Map
	for _, m := range s.mapOrder {
		if m.value.Kind != None {
			maps = append(maps, s.userMap(m))
		}
	}
	n := max(1, len(s.units))
	maps = append(maps,
		Map{Name: lossMap, Kind: Array, MaxEntries: 1, KeySize: 4, ValueSize: n * word},
		Map{Name: ringMap, Kind: Ring, MaxEntries: s.limits.RingBytes})
	if out.scratch > 0 {
		maps = append(maps, Map{Name: scratchMap, Kind: PerCPUArray, MaxEntries: n, KeySize: 4, ValueSize: out.scratch})
	}
	if out.zeros > 0 {
		maps = append(maps, Map{Name: zerosMap, Kind: Array, MaxEntries: 1, KeySize: 4, ValueSize: out.zeros})
	}
	if out.usesFull {
		maps = append(maps, Map{Name: fullMap, Kind: Array, MaxEntries: 1, KeySize: 4, ValueSize: n * word})
	}
	if out.identifies {
		maps = append(maps, Map{Name: identityMap, Kind: Shared, KeySize: 4, ValueSize: processSize})
	}
	if out.usesStart {
		maps = append(maps, Map{Name: startMap, Kind: Array, MaxEntries: 1, KeySize: 4, ValueSize: word})
	}
	for _, name := range sortedNames(out.stacks) {
		maps = append(maps, Map{Name: name, Kind: StackTrace, MaxEntries: stacksKept, KeySize: 4, ValueSize: out.stacks[name] * word})
	}
	return maps
}

// stacksKept is how many different stacks are kept: the kernel files a stack by a hash and
// drops one whose place is taken, so that there is room for more than there will be.
const stacksKept = 1 << 14

func (s *script) userMap(m *mapInfo) Map {
	entries := s.limits.MaxMapKeys
	switch {
	case m.declared != nil:
		entries = int(m.declared.Max)
	case m.key.Kind == None:
		entries = 1
	}
	return Map{
		Name: m.name, User: true, Kind: m.kind(), MaxEntries: entries,
		KeySize: m.keySize(), ValueSize: m.value.stored(),
		Key: s.exported(m.key, 0), Value: s.exported(m.value, 0), Summed: s.summed[m.name],
	}
}

// fixShapes tells a program the sizes of maps that were only known at the end.
func fixShapes(p *compile.Program, maps []Map) {
	for _, m := range maps {
		shape, used := p.Maps[m.Name]
		if used && !m.User {
			shape.KeySize, shape.ValueSize = m.KeySize, m.ValueSize
			p.Maps[m.Name] = shape
		}
	}
}
