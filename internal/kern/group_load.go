// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Refused is what the verifier says of a program that it does not take.
type Refused struct {
	Program int // number in the spec
	Name    string
	// Instruction is the one that it stopped at, counted in the kernel's slots of 8 bytes
	// (loading 64 bits takes two); -1 if it does not say.
	Instruction int
	Verdict     string
	// GaveUp tells that the verifier has no opinion: the program is too large for it, as one
	// whose loops do not end is.
	GaveUp bool
	Log    []string
	Cause  error
}

func (r *Refused) Error() string {
	return fmt.Sprintf("load program %s: the verifier refuses it at instruction %d: %s", r.Name, r.Instruction, r.Verdict)
}

// Unwrap is what the system call returned.
func (r *Refused) Unwrap() error { return r.Cause }

// instructionLine begins a line of the verifier's log about one instruction.
var instructionLine = regexp.MustCompile(`^(\d+): \([0-9a-f]{2}\) `)

// refused makes a *Refused of an error of the verifier, or names the program in any other.
func refused(i int, name string, err error) error {
	var verifier *ebpf.VerifierError
	if errors.Is(err, unix.EFAULT) { // 6.18, of loops that do not end
		return &Refused{Program: i, Name: name, Instruction: -1, Cause: err, GaveUp: true, Verdict: "the verifier fails on it by a fault of its own (EFAULT)"}
	}
	if !errors.As(err, &verifier) || verdict(verifier.Log) == "" {
		if forbidden(err) {
			return fmt.Errorf("load program %s: %s: %w", name, reason(err), ErrForbidden)
		}
		return fmt.Errorf("load program %s: %w%s", name, err, memlockHint(err))
	}
	r := &Refused{Program: i, Name: name, Instruction: -1, Verdict: verdict(verifier.Log), GaveUp: gaveUp(verifier.Log), Log: verifier.Log, Cause: err}
	for _, line := range slices.Backward(verifier.Log) {
		if m := instructionLine.FindStringSubmatch(line); m != nil {
			r.Instruction, _ = strconv.Atoi(m[1])
			break
		}
	}
	return r
}

// ErrForbidden means that the host forbids this kind of program, whatever is in it.
var ErrForbidden = errors.New("this kind of program is forbidden here")

// job is one program to load.
type job struct {
	number int // in the spec
	unit   *loaded
	spec   *ebpf.ProgramSpec
}

// loadAll loads as many programs at a time as there are CPUs: the verifier takes most of
// the time that a large script takes to start.
func (g *Group) loadAll() error {
	var jobs []job
	for i, p := range g.spec.Programs {
		instructions, err := g.associate(p)
		if err != nil {
			return err
		}
		for _, u := range units(p) {
			jobs = append(jobs, job{i, u, programSpec(p, u, instructions)})
		}
	}
	errs := make([]error, len(jobs))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(len(jobs), runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for n := range next {
				errs[n] = g.loadJob(jobs[n])
			}
		})
	}
	for n := range jobs {
		next <- n
	}
	close(next)
	group.Wait()
	for _, j := range jobs {
		if j.unit.program != nil {
			g.programs[j.number] = append(g.programs[j.number], j.unit)
		}
	}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// associate copies the instructions and puts the maps into them.
func (g *Group) associate(p GroupProgram) (asm.Instructions, error) {
	instructions := slices.Clone(p.Instructions)
	for i := range instructions {
		ins := &instructions[i]
		if !ins.IsLoadFromMap() || ins.Map() != nil {
			continue
		}
		m := g.maps[ins.Reference()]
		if m == nil {
			return nil, fmt.Errorf("load program %s: it uses map %q, which is not there", p.Name, ins.Reference())
		}
		if err := ins.AssociateMap(m); err != nil {
			return nil, fmt.Errorf("load program %s: %w", p.Name, err)
		}
	}
	keepUserReads(instructions)
	return instructions, nil
}

func (g *Group) loadJob(j job) error {
	var err error
	j.unit.program, err = g.load(j.spec)
	if err != nil && j.unit.multi {
		// Before 5.18 (kprobes) and 6.6 (uprobes) each place takes a link of its own.
		single := *j.spec
		single.AttachType = ebpf.AttachNone
		if program, again := g.load(&single); again == nil {
			j.unit.program, j.unit.multi, err = program, false, nil
		}
	}
	if err != nil {
		return refused(j.number, g.spec.Programs[j.number].Name, err)
	}
	return nil
}

func (g *Group) load(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	program, err := g.loadLogging(spec, ebpf.ProgramOptions{LogDisabled: true})
	if err == nil {
		return program, nil
	}
	// What the verifier says of a million instructions is more than anybody can hold: first
	// ask for its verdict alone.
	_, brief := g.loadLogging(spec, ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats})
	var verifier *ebpf.VerifierError
	if errors.As(brief, &verifier) && gaveUp(verifier.Log) {
		return nil, brief
	}
	return g.loadLogging(spec, ebpf.ProgramOptions{})
}

// giveUps are what verifiers say then.
var giveUps = []string{"program is too large", "jumps is too complex", "infinite loop detected"}

func gaveUp(log []string) bool {
	return slices.ContainsFunc(log, func(line string) bool {
		return slices.ContainsFunc(giveUps, func(text string) bool { return strings.Contains(line, text) })
	})
}

func (g *Group) loadLogging(spec *ebpf.ProgramSpec, options ebpf.ProgramOptions) (*ebpf.Program, error) {
	const name = "program"
	cache := g.types.Cache()
	if spec.AttachType == ebpf.AttachTraceFEntry || spec.AttachType == ebpf.AttachTraceFExit {
		cache = g.types.CacheFor(spec.AttachTo)
	}
	collection, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{name: spec}},
		ebpf.CollectionOptions{Cache: cache, Programs: options})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(name), nil
}

// units are the programs to load for a spec: the kernel fixes the place of some kinds when
// they are loaded, so that each place takes a program.
func units(p GroupProgram) []*loaded {
	if !p.Hook.placedByLoading() {
		return []*loaded{{places: p.Places, multi: len(p.Places) > 1 && p.Hook.multi() != ebpf.AttachNone}}
	}
	var all []*loaded
	for _, place := range p.Places {
		all = append(all, &loaded{places: []Place{place}})
	}
	return all
}

func programSpec(p GroupProgram, u *loaded, instructions asm.Instructions) *ebpf.ProgramSpec {
	spec := &ebpf.ProgramSpec{Name: objectName(p.Name), Type: p.Hook.programType(), License: "Dual BSD/GPL", Instructions: instructions}
	if p.Hook.placedByLoading() {
		spec.AttachType, spec.AttachTo = p.Hook.attachType(), u.places[0].attachTo(p.Hook)
	}
	if u.multi {
		spec.AttachType = p.Hook.multi()
	}
	return spec
}

// Calls tells whether instructions call a helper, by its number.
func Calls(instructions asm.Instructions, helper int64) bool {
	return slices.ContainsFunc(instructions, func(ins asm.Instruction) bool { return ins.IsBuiltinCall() && ins.Constant == helper })
}
