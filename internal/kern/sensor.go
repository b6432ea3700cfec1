// SPDX-License-Identifier: Apache-2.0

package kern

// Intent is what a ladder is for. A signal has a separate ladder for each.
type Intent string

// See is the intent of all ladders that there are.
const See Intent = "see"

// Sensor is the kernel side of one capability, as data: no kernel is looked at
// until a [Kernel] attaches it.
type Sensor struct {
	// Name is the capability's, such as "process"; its object is bpf.Object(Name).
	Name string
	// Rescues name the programs whose misses another program makes good.
	Rescues []Rescue
	// Ladders are attached in order. One that has no working rung does not stop the others.
	Ladders []Ladder
	// Scans names the programs for [Kernel.Scan], so that [Kernel.Prepare] loads them too.
	Scans []string `json:"-"`
}

// Rescue is a second program at the same hook. The kernel leaves a program out when the
// CPU is already in it (a socket's softirq interrupts its own system call); the second
// one then handles the event and counts it.
type Rescue struct {
	Program string // whose misses are made good
	By      string // the second program; its own misses are harmless
	Counter string // per-CPU array whose only entry counts what By has handled
	// Both: By runs at every event, so what it has not missed either is not lost.
	Both bool
}

// Ladder lists the ways to get one signal, best first.
type Ladder struct {
	// Signal is what the ladder gives, such as "exec".
	Signal string
	Intent Intent
	// Required marks a signal without which the agent is of no use.
	Required bool
	Rungs    []Rung
	// Advice says what to change on the host to get a better rung.
	Advice string `json:"-"`
}

// Rung is one way to get a signal: programs of the sensor's object that are
// attached together, in order, or not at all.
type Rung struct {
	// Name as shown to the user and used by the hidden flag that forces a rung, such as "tp_btf".
	Name string
	// Programs by their names in the object. The section name says how each attaches.
	Programs []string
	// Over names the map that an iterator program (section iter/bpf_map_elem and its like)
	// goes over, by the program's name. See [Kernel.Iterate].
	Over map[string]string
	// Tracepoints are those that one program is attached to, as category/event, by the
	// program's name; else the section says it. Several cannot be pinned.
	Tracepoints map[string][]string
	// Config sets `const volatile` variables for this rung only.
	Config map[string]any
	// Limits say what this rung cannot do: what the best one can, or what a user might
	// expect and none can.
	Limits []string `json:"-"`
}
