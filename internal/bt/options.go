// SPDX-License-Identifier: Apache-2.0

package bt

// Options are what a script is compiled with, besides its own config block.
type Options struct {
	// PID restricts all probes that run for a process to one, if not 0.
	PID int
	// Cgroups restricts them to processes of these cgroups, by their identifiers, if it
	// is not nil.
	Cgroups []uint64
	// CgroupsOfIdentity tells that these are what Identity tells containers apart by, and not
	// cgroups of cgroup v2.
	CgroupsOfIdentity bool
	// ChildPID is the value of cpid: that of the command started with the script, or 0.
	ChildPID int
	// HasChild tells that there is such a command.
	HasChild bool
	// Unsafe allows what changes the system: system(), signal(), override() ...
	Unsafe bool
	// HelperErrors tells where reading memory fails, and which keys of maps are not there.
	HelperErrors bool
	// Without are kinds of probes to do without, as where the kernel has none of them.
	Without map[ProbeKind]bool
	// Identity is what an agent knows of processes; nil where none does.
	Identity Identity
	// Limits are for what the script does not set; see DefaultLimits.
	Limits Limits
	// Directory is what relative paths of executables begin from, "" for where the agent is.
	Directory string
	// Settings go before those of the script's config block, by their names there: what
	// the environment of whoever runs it says.
	Settings map[string]string
}

// Limits bound what a script may take, named as the settings of the config block.
type Limits struct {
	MaxMapKeys   int    // entries of each map with keys
	MaxStrlen    int    // bytes of a string read from memory, the NUL included
	MaxProbes    int    // attach points of the whole script
	MaxPrograms  int    // programs of the whole script
	StackMode    string // bpftrace, perf or raw
	RingBytes    int    // size of the ring, a power of two and a multiple of the page size
	MissingProbe string // error, warn or ignore: what a probe that matches nothing is
	PrintAtExit  bool   // print maps when the script ends
	CutMark      string // behind a string that max_strlen cut short
	MaxCatBytes  int    // bytes that cat() shows of a file, 0 for as many as the client shows
}

// DefaultLimits are those of the language's reference.
func DefaultLimits() Limits {
	return Limits{
		MaxMapKeys: 4096, MaxStrlen: 1024, MaxProbes: 1024, MaxPrograms: 1024,
		StackMode: "bpftrace", RingBytes: 1 << 20, MissingProbe: "warn", PrintAtExit: true, CutMark: "..",
	}
}

// Bounds of what the verifier and this compiler take.
const (
	largestString = 16 << 10
	largestKey    = 16 << 10
	largestValue  = 16 << 10
	deepest       = 200 // nesting of expressions and statements
)
