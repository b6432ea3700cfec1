// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/spelling"
)

// Kind is what a record says happened; its name is Record.kind.
type Kind uint8

// The kinds. Loss and Agent speak about skep itself, the others about the host.
const (
	Fork Kind = iota
	Exec
	Exit
	Oom
	Connect
	Accept
	Close
	Listen
	Dns
	Loss
	Agent
	// Kinds are numbered in the agent's pinned state: new ones come last.
	File
	Udp
	Unix
	Host
	// NumKinds is the number of kinds.
	NumKinds int = iota
)

// Counts is a number per kind.
type Counts = [NumKinds]uint64

var kindNames = [NumKinds]string{
	Fork: "fork", Exec: "exec", Exit: "exit", Oom: "oom",
	Connect: "connect", Accept: "accept", Close: "close", Listen: "listen", Dns: "dns",
	Loss: "loss", Agent: "agent", File: "file",
	Udp: "udp", Unix: "unix", Host: "host",
}

// String is the name of the kind, as in Record.kind.
func (k Kind) String() string {
	if int(k) < NumKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Kinds returns every kind in order.
func Kinds() []Kind {
	kinds := make([]Kind, NumKinds)
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// ParseKind is the inverse of String. Its error names the nearest kind.
func ParseKind(name string) (Kind, error) {
	if k, ok := LookupKind(name); ok {
		return k, nil
	}
	hint := ""
	if near := spelling.Nearest(name, kindNames[:]); near != "" {
		hint = fmt.Sprintf("did you mean %q? ", near)
	}
	return 0, fmt.Errorf("unknown kind %q: %sthe kinds are %s", name, hint, strings.Join(kindNames[:], ", "))
}

// KindOf is the kind of a record; ok is false for a kind this build does not know.
func KindOf(r *skepv1.Record) (k Kind, ok bool) { return LookupKind(r.GetKind()) }

// LookupKind is the kind of a name; ok is false for one that this build does not know. It is a
// switch, not a map: it is on the path of every filtered record.
func LookupKind(name string) (k Kind, ok bool) {
	switch name {
	case "fork":
		return Fork, true
	case "exec":
		return Exec, true
	case "exit":
		return Exit, true
	case "oom":
		return Oom, true
	case "connect":
		return Connect, true
	case "accept":
		return Accept, true
	case "close":
		return Close, true
	case "listen":
		return Listen, true
	case "dns":
		return Dns, true
	case "loss":
		return Loss, true
	case "agent":
		return Agent, true
	case "file":
		return File, true
	case "udp":
		return Udp, true
	case "unix":
		return Unix, true
	case "host":
		return Host, true
	}
	return 0, false
}

// KindSet is a set of kinds.
type KindSet uint32

// AllKinds is the set of every kind.
const AllKinds KindSet = 1<<NumKinds - 1

// SetOf is the set of the given kinds.
func SetOf(kinds ...Kind) KindSet {
	var s KindSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has says whether k is in the set.
func (s KindSet) Has(k Kind) bool { return s>>k&1 != 0 }
