// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/ctype"
)

// Features tells what programs of groups can do here, by trying it, once.
type Features struct {
	types   *ctype.Kernel
	mutex   sync.Mutex
	helpers map[helper]bool
	hooks   map[Hook]error
}

type helper struct {
	kind   ebpf.ProgramType
	number int64
}

// NewFeatures looks at no kernel yet.
func NewFeatures(types *ctype.Kernel) *Features {
	return &Features{types: types, helpers: map[helper]bool{}, hooks: map[Hook]error{}}
}

// CPUv4 tells that the kernel takes the fourth version of the instruction set (6.6).
func (f *Features) CPUv4() bool {
	err := f.load(OnDemand, asm.Instructions{
		asm.Mov.Imm(asm.R1, 1),
		asm.MovSX8.Reg(asm.R0, asm.R1),
		asm.Return(),
	})
	return err == nil
}

// Helper tells whether programs of a hook may call a helper, by its number.
func (f *Features) Helper(number int64, hook Hook) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	key := helper{hook.programType(), number}
	known, ok := f.helpers[key]
	if !ok {
		var sure bool
		if known, sure = f.tryHelper(number, hook); sure {
			f.helpers[key] = known
		}
	}
	return known
}

// unknownHelper is what the verifier says of a helper that is not there or not for a program
// of this type. Of any other it complains about the arguments, of which there are none here, or
// that it is not for programs of this type in this place (d_path).
var unknownHelper = []string{"unknown func", "invalid func", "cannot use helper"}

// tryHelper also tells whether it is sure of what it says.
func (f *Features) tryHelper(number int64, hook Hook) (known, sure bool) {
	if hook.programType() == ebpf.Tracing {
		hook = RawTracepoint // the one of its kind that every kernel loads
	}
	err := f.load(hook, asm.Instructions{asm.BuiltinFunc(number).Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()})
	var verifier *ebpf.VerifierError
	if err == nil || !errors.As(err, &verifier) {
		return err == nil, !passing(err)
	}
	text := strings.Join(verifier.Log, "\n")
	return text != "" && !slices.ContainsFunc(unknownHelper, func(s string) bool { return strings.Contains(text, s) }), !passing(err)
}

func (f *Features) load(hook Hook, code asm.Instructions) error {
	place := Place{Event: "sched_process_exec", Function: "bpf_fentry_test1"}
	if hook == Iterator {
		place.Event = "task"
	}
	program := GroupProgram{Name: "skep_probe", Hook: hook, Instructions: code, Places: []Place{place}}
	collection, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"probe": programSpec(program, &loaded{places: program.Places}, code)}},
		ebpf.CollectionOptions{Cache: f.types.Cache()})
	if err == nil {
		collection.Close()
	}
	return err
}

// Hook says why there is nothing of a kind to attach to here, and what would serve; nil if
// there is.
func (f *Features) Hook(hook Hook) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	err, ok := f.hooks[hook]
	if !ok {
		err = f.tryHook(hook)
		if !passing(err) {
			f.hooks[hook] = err
		}
	}
	return err
}

// quiet is an error that is known by what it wraps, and says nothing itself.
type quiet struct{ err error }

func (q quiet) Error() string { return "" }
func (q quiet) Unwrap() error { return q.err }

// passing tells an error that says nothing of the kernel, but of how busy the host is.
func passing(err error) bool {
	return exhausted(err) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
}

// ErrUnavailable means that this kernel has nothing of a kind.
var ErrUnavailable = errors.New("this kernel has none")

func (f *Features) tryHook(hook Hook) error {
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	switch hook {
	case Fentry, Fexit:
		if err := f.load(hook, code); err != nil {
			return fmt.Errorf("%w: %s; kprobes or a tracepoint may serve%w", ErrUnavailable, reason(err), quiet{err})
		}
	case Kprobe, Kretprobe:
		spec := GroupSpec{Programs: []GroupProgram{{Name: "skep_probe", Hook: hook, Instructions: code, Places: []Place{{Name: "kprobe", Function: "bpf_fentry_test1"}}}}}
		g, err := LoadGroup(spec, f.types)
		if err != nil {
			return fmt.Errorf("%w: %s%w", ErrUnavailable, reason(err), quiet{err})
		}
		defer g.Close()
		if _, err := g.Attach(); err != nil {
			return fmt.Errorf("%w: it is built without CONFIG_KPROBES, or forbids them; a tracepoint, or fentry where that is allowed, may serve%w", ErrUnavailable, quiet{err})
		}
	}
	return nil
}
