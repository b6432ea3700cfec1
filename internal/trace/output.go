// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/compile"
)

// OutputKind says which fields of an [Output] mean something.
type OutputKind uint8

// The kinds of outputs.
const (
	Attached    OutputKind = iota // Count probes; the first of all
	Printf                        // Text, of which Values are the parts
	Errorf                        // the same, as an error at Pos
	Warnf                         // the same, as a warning
	Time                          // Text
	Join                          // Text
	Value                         // Value
	MapDump                       // Map; Keyed, Final
	System                        // Text is a command for the client's shell
	Cat                           // Text is the name of a file for the client to show
	Failure                       // Text of what went wrong at Pos
	HelperError                   // the same of Helper, which has Returned this
	Loss                          // Count at Probe, in Place
	Confirm                       // always has room, as Exit: the listener is to say when it has done all that came before: [ConfirmedReason]
	Exit                          // Code; the last of all
)

// Output is one thing that a script has to say, or this package about it.
type Output struct {
	Kind   OutputKind
	Text   string
	Values []render.Value
	Value  render.Value
	Map    *render.Map
	Keyed  bool // the map has keys, even if it has no entry
	Final  bool // the script has ended
	Pos    compile.Pos
	Probe  string
	Place  Place
	Count  uint64
	Code   int
	// Reference is a Failure in the words of bpftrace, or "".
	Reference string
	Helper    string
	Returned  int64
}

// Place is where something was lost.
type Place string

// The places.
const (
	InRing  Place = "ring"   // it was full
	InMap   Place = "map"    // one of the script's had no room for another key
	ByRate  Place = "rate"   // more than the script may say in a second
	InQueue Place = "queue"  // the listener was too slow
	Missed  Place = "missed" // the kernel did not run the program, as it ran already on that CPU
)
