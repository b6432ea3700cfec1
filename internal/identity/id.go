// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/abi"
)

// Node is where a record comes from.
type Node struct {
	ID     string // UUID, kept in the data directory
	BootID string // UUID of this boot
	Name   string // host name
}

// Names writes the ids of processes: "<node><boot>-<tgid>-<start>[-<exec>]", where
// node and boot are the first eight hex digits of the two UUIDs and the times are
// boot times in ns. Two processes would need equal digits of both UUIDs, the same
// tgid and the same nanosecond to be confused.
type Names struct{ prefix string }

// NewNames makes the names of one node in one boot.
func NewNames(n Node) Names { return Names{short(n.ID) + short(n.BootID)} }

func short(uuid string) string {
	uuid = strings.ReplaceAll(uuid, "-", "")
	return uuid[:min(8, len(uuid))]
}

// Process returns the process_id.
func (n Names) Process(id abi.ExecID) string {
	return string(n.append(make([]byte, 0, 64), id))
}

// Exec returns the exec_id.
func (n Names) Exec(id abi.ExecID) string {
	exec, _ := n.both(id)
	return exec
}

// both returns the exec_id and the process_id, which is its front and shares its memory.
func (n Names) both(id abi.ExecID) (exec, process string) {
	b := n.append(make([]byte, 0, 80), id)
	length := len(b)
	exec = string(strconv.AppendUint(append(b, '-'), id.ExecNS, 10))
	return exec, exec[:length]
}

func (n Names) append(b []byte, id abi.ExecID) []byte {
	b = append(append(b, n.prefix...), '-')
	b = append(strconv.AppendUint(b, uint64(id.Tgid), 10), '-')
	return strconv.AppendUint(b, id.StartNS, 10)
}

// Parse reads a process_id or an exec_id of this node and boot; whole tells whether it
// is an exec_id.
func (n Names) Parse(s string) (id abi.ExecID, whole, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != n.prefix {
		return id, false, false
	}
	tgid, err1 := strconv.ParseUint(parts[1], 10, 32)
	start, err2 := strconv.ParseUint(parts[2], 10, 64)
	id.Tgid, id.StartNS = uint32(tgid), start
	if err1 != nil || err2 != nil {
		return id, false, false
	}
	if len(parts) == 4 {
		exec, err := strconv.ParseUint(parts[3], 10, 64)
		id.ExecNS = exec
		return id, true, err == nil
	}
	return id, false, true
}
