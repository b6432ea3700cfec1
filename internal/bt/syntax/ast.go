// SPDX-License-Identifier: Apache-2.0

package syntax

import "github.com/skep-io/skep/internal/compile"

// Node is a part of a script.
type Node interface {
	// Position is where the node begins; of an operator with a left operand, where the
	// operator is.
	Position() compile.Pos
}

// At is the position of a node, which embeds it.
type At struct{ Pos compile.Pos }

// Position is where the node begins.
func (a At) Position() compile.Pos { return a.Pos }

// Program is a whole script. Each list is in the order of the text.
type Program struct {
	At
	Interpreter string // the line "#!..." without its end, or ""
	Definitions []*Definition
	Config      []*Setting
	Maps        []*MapDecl
	Macros      []*Macro
	Functions   []*Function
	Probes      []*Probe
}

// Definition is C in front of the script: a directive such as #include <linux/fs.h>, or the
// definition of a struct, union or enum.
type Definition struct {
	At
	Kind string // "#", "struct", "union" or "enum"
	Name string // of the struct, union or enum; "" where there is none
	Text string // the whole, as written, comments included, without the ; at the end
}

// Setting is one assignment in config = { ... }.
type Setting struct {
	At
	Name  string // lower case and without the prefix BPFTRACE_
	Value Expr   // Integer, String or Name (a word such as perf, true)
}

// MapDecl is let @m = hash(10).
type MapDecl struct {
	At
	Name string // with @
	Kind string // hash, lruhash, percpuhash ...
	Max  uint64 // entries
}

// Macro is macro f($a, @b, c) { ... }. Its calls are Calls and Names of that name: whoever
// checks the script puts the body in their place.
type Macro struct {
	At
	Name   string
	Params []Expr // each a Variable, a Map without Key or a Name
	Body   *Block
}

// Function is fn f($a : int64) : int64 { ... }.
type Function struct {
	At
	Name   string
	Params []*Param
	Result *Type
	Body   *Block
}

// Param is a parameter of a Function.
type Param struct {
	At
	Name string // with $
	Type *Type
}

// Probe is an action block and where it runs.
type Probe struct {
	At
	Name      string // of name = kprobe:f { }, or ""
	Points    []*AttachPoint
	Predicate Expr // or nil
	Body      *Block
}

// AttachPoint is one element of a list of probes. Which fields mean something depends on
// Provider; names may be patterns with * and [ ], see HasWildcard.
type AttachPoint struct {
	At
	// Text is the whole as written, without blanks, positional parameters replaced.
	Text string
	// Provider is the long form, lower case where it begins with a word of the language:
	// begin, end, kprobe, kretprobe, uprobe, uretprobe, usdt, tracepoint, rawtracepoint,
	// profile, interval, software, hardware, watchpoint, asyncwatchpoint, fentry, fexit,
	// iter, self, bench, test. A pattern is kept.
	Provider string
	// Module of kprobe, kretprobe, fentry, fexit and rawtracepoint, or "".
	Module string
	// Path of the binary of uprobe, uretprobe and usdt; of an iter, where to pin it.
	Path string
	// Language whose mangled names to look for: uprobe:path:cpp:"f(int)".
	Language string
	// Function of kprobe, kretprobe, uprobe, uretprobe, fentry, fexit, or of
	// watchpoint:f+arg0:8:w.
	Function string
	// Category of a tracepoint, provider of a usdt; "signal" of self.
	Category string
	// Event of tracepoint, rawtracepoint, usdt, iter, software, hardware; signal of self.
	Event string
	// Offset from Function in bytes; HasOffset if written, as +0 may be.
	Offset    uint64
	HasOffset bool
	// Address instead of a Function, of kprobe, uprobe and watchpoint.
	Address    uint64
	HasAddress bool
	// Unit of profile and interval: hz, s, ms or us. 1m, 1h and other durations are
	// turned into one of them.
	Unit string
	// Count of Unit, or how many events of software and hardware; 0 if left out.
	Count uint64
	// Argument of a function that a watchpoint looks at.
	Argument int
	// Length in bytes and Mode (of r, w, x) of a watchpoint.
	Length uint64
	Mode   string
	// Program of fentry:bpf:ID:PROGRAM is in Function; ID is its program's, 0 for any.
	BPF bool
	ID  uint32
}

// Type is a type as written.
type Type struct {
	At
	Kind TypeKind
	// Tag is struct, union or enum, or "" if Name stands alone.
	Tag  string
	Name string
	// Elem is what a Pointer points to or an Array consists of.
	Elem *Type
	// Length of an Array, 0 if left out ([]); size in bytes of a Named string, buffer or
	// inet, 0 if left out.
	Length uint64
	// Of is the operand of typeof.
	Of Expr
}

// TypeKind is how a type is composed.
type TypeKind uint8

// The kinds of types.
const (
	Named TypeKind = iota // int64, struct task_struct, string[16]
	PointerTo
	ArrayOf
	TypeOf // typeof(expression), typeof(type): then Elem is set
)
