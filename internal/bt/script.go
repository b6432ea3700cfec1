// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/compile"

// Script is a script that was compiled for a host: programs to load, what to attach them
// to, the maps that they share, and what the records on the ring mean.
type Script struct {
	Probes []Probe
	Maps   []Map
	// ProbeNames are what values of Kind ProbeName mean, by their index.
	ProbeNames []string
	// FunctionNames are the functions of those probes, by the same index.
	FunctionNames []string
	// Actions are what records on the ring ask for: a record begins with its index here
	// as 8 bytes, in the host's byte order; what it carries follows, as Action.Args say.
	Actions []Action
	// Enums are the names of the values of enumerations that the script defines, by the
	// enumeration's, which is Type.Name.
	Enums map[string]map[int64]string
	// Limits are those of the caller, with what the script's config block changed.
	Limits Limits
	// Warnings are for whoever wrote the script.
	Warnings []Diagnostic
}

// ProbeKind is a type of probe.
type ProbeKind uint8

// The kinds of probes, by their names in the language.
const (
	Begin ProbeKind = iota
	End
	Self // self:signal:NAME
	Interval
	Profile
	Tracepoint
	RawTracepoint
	Kprobe
	Kretprobe
	Uprobe
	Uretprobe
	USDT
	Fentry
	Fexit
	Iterator
	Software
	Hardware
	Watchpoint
	AsyncWatchpoint
)

// Probe is one program and where it runs.
type Probe struct {
	Kind    ProbeKind
	Program *compile.Program
	Targets []Target // all of one kind; more than one where the program is the same for all
	Pos     compile.Pos
}

// Target is one place to attach to. Which fields mean something depends on the kind.
type Target struct {
	// Name is the whole of it, as the builtin "probe" says: kprobe:vfs_read.
	Name string
	// Category and Event of a tracepoint; Event alone of a raw tracepoint, an iterator, a
	// software or hardware event, and the signal of a self probe.
	Category, Event string
	// Function of the kernel or of Binary, Module of the kernel's if it was named.
	Function, Module string
	// Binary is the path of an executable or library; Provider and Event of a USDT. Directory
	// is what a relative path in a pattern begins from.
	Binary, Provider string
	Directory        string
	// Found is what Binary was when the host found the target in it, in the host's words.
	Found string
	// Unsafe takes places that may be none: functions without a size, addresses in none.
	Unsafe bool
	// Offset in bytes from the function, or the address if Function is "".
	Offset uint64
	// Period of profile and interval in nanoseconds; of software and hardware events the
	// count; of a watchpoint the length in bytes.
	Period uint64
	// Mode of a watchpoint: any of r, w, x.
	Mode string
	PID  int
	// Language whose mangled names to look for, of a uprobe: "cpp" or "".
	Language string
	// Argument of Function that a watchpoint looks at, if Function is not "".
	Argument int
	// Cookie is an index in Script.ProbeNames, to attach with where Machine.Cookies says
	// that the kind has them.
	Cookie uint64
	// Via is what it runs on where that is not what Name says, "" if it is; Differs is in
	// which cases that is not the same.
	Via, Differs string

	stand *stand    // behind Via
	kind  ProbeKind // as the script asks for it
}

// Map is a map to make. Those of the user are printed when the script ends.
//
// Others, by their names: "ring" (MaxEntries bytes; the reader polls it every 10 ms, as
// records do not wake it, except that of exit), "loss" (a word for each of Script.Probes:
// records that had no place in the ring), "full" (the same of what a map of the user's had no
// room for; only there if that can be), "scratch", "zeros" (never written), "start" (a
// word, which whoever runs the script sets to the clock CLOCK_BOOTTIME in nanoseconds
// before attaching), "stacks N" (of at most N frames), "processes" (the agent's, of kind Shared).
type Map struct {
	// Name is that of the language, with @, if User; else one that no script can write.
	Name       string
	User       bool
	Kind       MapKind
	MaxEntries int
	KeySize    int
	ValueSize  int
	// Key and Value say what the bytes mean. The parts of a key are a Tuple; a map without
	// keys has the key 0 and a Key of kind None.
	Key, Value Type
	// Summed tells that the script only adds to the values and prints and clears them: it
	// takes no notice of what has been shown and is still there.
	Summed bool
}

// MapKind is the kernel's type of a map.
type MapKind uint8

// The kinds of maps.
const (
	Hash MapKind = iota
	PerCPUHash
	LRUHash
	LRUPerCPUHash
	Array
	PerCPUArray
	Ring
	StackTrace
	Shared // not the script's: whoever runs it has one of that name
)

// ActionKind is what the reader of the ring does.
type ActionKind uint8

// The kinds of actions.
const (
	Printf        ActionKind = iota // Format with Args
	Errorf                          // the same, as an error in the script
	PrintMap                        // Map; Args are top and divisor, 0 for none
	PrintValue                      // of one argument
	Clear                           // Map
	Zero                            // Map
	Time                            // Format of strftime
	Join                            // Args[0] is how many of the strings behind it; Format between
	SystemCommand                   // Format with Args, run by the client
	Cat                             // file Format with Args, read by the client
	Exit                            // with Args[0], or 0
	Watch                           // Args are the number of a watchpoint's program, an address and a process: attach it there
	Unwatch                         // Args[0] is an address that is watched no longer
	HelperError                     // Helper has returned Args[0] at Pos
	Warnf                           // as Errorf, of a warning
)

// Action is what a record on the ring asks for.
type Action struct {
	Kind   ActionKind
	Format string
	Map    string
	Helper string // its name
	Clears bool   // of PrintMap: what is shown goes from the map in the same step
	Args   []Field
	// Size of the whole record in bytes.
	Size int
	Pos  compile.Pos
}

// Field is a value inside a record, a tuple or a structure.
type Field struct {
	Name   string // "" where there is none
	Type   Type
	Offset int // in bytes
	// BitOffset, from Offset and the lowest bit, and BitSize of a bit field, else 0.
	BitOffset, BitSize int
}

// Kind says what the bytes of a value mean.
type Kind uint8

// The kinds of values.
const (
	None Kind = iota
	Integer
	Pointer
	String // ends at the first NUL, or after Size bytes
	Buffer // a length of 4 bytes, then the bytes; of %r and buf()
	ArrayOf
	Record // a struct of the kernel, or a tuple with names
	Tuple
	KStack      // identifier of 8 bytes in the map of stacks named in Type.Name
	UStack      // the same, then the identifier of the process: 8 bytes
	KSymbol     // address, 8 bytes
	USymbol     // address and pid, 16 bytes
	InetAddress // family in 8 bytes, then 16 of address
	MACAddress
	Timestamp // nanoseconds since boot, shown by Type.Name, a strftime format
	CgroupPath
	UserName
	KernelErrno
	SignalName
	ProbeName // 8 bytes, index in Script.ProbeNames, or FunctionNames if Type.Name is func
	Strerror  // error number, 8 bytes
	// What the agent's identity tells: of the last three the value is a struct exec_id, of
	// the first two the identifier of a cgroup, 8 bytes.
	Container
	Pod
	ExecID
	Executable
	Ancestors
	// Aggregates, which are values of maps only, one for each CPU, of words of 8 bytes.
	CountOf     // how many
	SumOf       // the sum
	MinOf       // the smallest, and 1 if this CPU has seen one
	MaxOf       // the largest, and 1 if this CPU has seen one
	AvgOf       // the sum, and of how many
	StatsOf     // the sum, and of how many
	HistogramOf // buckets, see HistogramBucket; Bits
	// LinearHistogramOf counts in bucket 0 what is below Min, in the last what is Max or
	// above, and in bucket i what is from Min+(i-1)*Step on.
	LinearHistogramOf
)

// Type is what a value's bytes mean.
type Type struct {
	Kind   Kind
	Size   int // in bytes
	Signed bool
	// Name of a structure, an enumeration, the strftime format or the map of stacks.
	Name string
	// Elem is what a pointer points to, or an array or buffer consists of.
	Elem *Type
	// Fields of a Record or Tuple.
	Fields []Field
	// User tells that a pointer is into the memory of a process.
	User bool
	// Depth and Perf are how a stack is shown: at most so many frames, in the form of perf.
	// Raw ones are shown as numbers only.
	Depth int
	Perf  bool
	Raw   bool
	// Bits, Min, Max and Step of a histogram.
	Bits           int
	Min, Max, Step int64
}

// Diagnostic is what is wrong in a script, and where.
type Diagnostic struct {
	Pos compile.Pos
	// Length in bytes of what is wrong, 0 for the word or call that begins at Pos.
	Length int
	Text   string
	// Hint is what to write instead, or "".
	Hint string
	// Reference is the same in the words of bpftrace, for whoever knows those, or "". They
	// have ERROR: or WARNING: in front unless the place belongs there.
	Reference string
}
