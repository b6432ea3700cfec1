// SPDX-License-Identifier: Apache-2.0

package bt

// Host is what the language asks of the machine that a script is compiled for. Its answers
// are about one moment: symbols and tracepoints that come later are not seen.
//
// A method that finds nothing says so by false, not by an error: the checker knows the
// place in the script and says it better.
type Host interface {
	// Machine is what holds for all programs.
	Machine() Machine

	// Targets are the places that a pattern names, sorted by Name. The texts of the pattern
	// (Category, Event, Function, Module, Binary, Provider) may contain *, and [abc], as
	// in the shell; one that is "" was not written and matches whatever is usual: any
	// module, any provider. The error says why there is none where there is more to say
	// than that nothing matches: a binary that cannot be read, a wildcard with too many.
	// Each target is complete: Name, Binary as an absolute path, a USDT probe's Offset
	// (one target for each place with the same name).
	Targets(kind ProbeKind, pattern Target) ([]Target, error)
	// Nearby are names of probes that may have been meant, best first; at most five.
	Nearby(kind ProbeKind, pattern Target) []string

	// Tracepoint is what a tracepoint's record consists of, by its format file: offsets
	// are from the start of the context, the common fields included.
	Tracepoint(category, event string) ([]Member, bool)
	// Signature is how a probe's function is called, by BTF: of kprobe, kretprobe, fentry
	// and fexit the function's, of a raw tracepoint its arguments without the first,
	// which is the tracer's own; of an iterator what the context offers.
	Signature(kind ProbeKind, target Target) (Signature, bool)
	// Arguments are where a USDT probe's arguments are.
	Arguments(target Target) ([]Operand, bool)

	// Type finds a type of the kernel by its name in C: "struct task_struct", "union x",
	// "enum pid_type", a typedef such as "pid_t", "unsigned long". Typedefs are resolved.
	// A structure comes with Name and Size but without Fields: see Members.
	Type(name string) (Type, bool)
	// Members of a structure or union, by the Name of its Type, which the host may choose
	// freely for one without a name. Members without names are as they are in C: their
	// own members are found by looking into them.
	Members(name string) ([]Member, bool)
	// EnumValue is the value of an enumerator, and the name of its enumeration.
	EnumValue(name string) (value int64, enum string, ok bool)

	// KernelSymbol is the address of a symbol of the kernel.
	KernelSymbol(name string) (uint64, bool)
	// UserSymbol is the address of a symbol in a binary, by its path, and its size.
	UserSymbol(binary, name string) (address, size uint64, ok bool)
	// CgroupID is the identifier of a cgroup by its path.
	CgroupID(path string) (uint64, bool)

	// Helper tells whether programs of a kind may call a helper, by its number.
	Helper(number int64, kind ProbeKind) bool
}

// NoModule is an error of [Host.Targets]: a pattern names a module that is not there.
type NoModule struct{ Module string }

func (n *NoModule) Error() string { return "the module " + n.Module + " is not loaded" }

// Machine is what a host is.
type Machine struct {
	Arch     string // as runtime.GOARCH: amd64, arm64
	CPUs     int    // possible ones, the length of a per-CPU value
	PageSize int    // in bytes
	// CPUv4 tells that the kernel has the fourth instruction set: signed division, swaps,
	// sign extension.
	CPUv4 bool
	// Cookies are the kinds whose programs get Target.Cookie from the helper
	// get_attach_cookie.
	Cookies map[ProbeKind]bool
	// TypedArguments are the kinds whose arguments the verifier follows by BTF.
	TypedArguments map[ProbeKind]bool
}

// Member is a field of a structure, a field of a tracepoint or an argument of a function.
type Member struct {
	Name   string
	Type   Type
	Offset int // in bytes from the start of the structure or context; of an argument of a function the number of its first word
	// BitOffset and BitSize of a bit field: BitOffset counts from Offset, from the lowest
	// bit. BitSize is 0 for anything else.
	BitOffset, BitSize int
	// Dynamic tells that 4 bytes at Offset say where the value is: the lower 16 bits are
	// its offset from the start of the record (__data_loc), the upper 16 its length.
	// Relative tells that the offset counts from behind these 4 bytes (__rel_loc).
	Dynamic, Relative bool
}

// Signature is how a function is called.
type Signature struct {
	Params []Member
	Result Type // of Kind None if there is none
}

// Operand is where an argument of a USDT probe is, as its note says.
type Operand struct {
	Size   int // in bytes
	Signed bool
	// Register by its name in the kernel's struct pt_regs of the machine: "di", "ax",
	// "ip"; on arm64 "x0", "sp", "pc". "" is a constant.
	Register string
	// Memory tells that the value is in memory at Register + Index*Scale + Offset; else
	// it is the register, or, without one, the constant Offset.
	Memory bool
	Offset int64
	Index  string
	Scale  int64
}
