// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// Identity names what the agent's tables know. It is for any number of goroutines.
type Identity interface {
	bt.Identity
	// Workload is the name of the container that a cgroup is of, and of its pod; "" if it is
	// of none.
	Workload(cgroup uint64) (container, pod string)
	// ExecID is the identifier of an image as records have it.
	ExecID(id abi.ExecID) string
	// Executable is the path of its program; "" if it is not known any more.
	Executable(id abi.ExecID) string
	// Ancestors are the paths of the programs of its parent, of that one's parent and so on.
	Ancestors(id abi.ExecID) []string
}

// identified are the values that the agent's identity has the names of.
func (d *decoder) identified(t bt.Type, data []byte) render.Value {
	out := render.Value{Kind: render.Text}
	who := d.names.identity
	if who == nil {
		return out
	}
	word := func(offset, size int) uint64 { return uint64(number(at(data, offset), size, false)) }
	cgroup, id := word(0, 8), abi.ExecID{StartNS: word(0, 8), ExecNS: word(8, 8), Tgid: uint32(word(16, 4))}
	switch t.Kind {
	case bt.Container:
		out.Text, _ = who.Workload(cgroup)
	case bt.Pod:
		_, out.Text = who.Workload(cgroup)
	case bt.ExecID:
		out.Text = who.ExecID(id)
	case bt.Executable:
		out.Text = who.Executable(id)
	case bt.Ancestors:
		out.Text = strings.Join(who.Ancestors(id), " < ")
	}
	return out
}
