// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// recordTable renders a stream as fixed columns: a stream's widest cell is
// not known when its first line is printed.
type recordTable struct {
	essence
	users userNames
	// host stands for the node where hosts were named.
	host string
}

const recordHead = "TIME                        NODE          KIND     PID      PPID     USER        CONTAINER       COMM             DETAIL"

func (t *recordTable) header(dst []byte) []byte {
	return append(t.append(dst, bold, recordHead), '\n')
}

func (t *recordTable) record(dst []byte, r *skepv1.Record) []byte {
	start := len(dst)
	dst = r.GetTime().AsTime().Local().AppendFormat(dst, "2006-01-02T15:04:05.000000")
	dst = appendSpaces(dst, 28-(len(dst)-start))
	dst = t.column(dst, plain, or(t.host, event.Printable(r.GetNodeName())), 14)
	dst = t.column(dst, kindColour(r.GetKind()), event.Printable(r.GetKind()), 9)
	dst = t.process(dst, r.GetProcess())
	return append(t.essence.record(dst, r), '\n')
}

func (t *recordTable) process(dst []byte, p *skepv1.Process) []byte {
	if p == nil {
		return t.column(dst, plain, "", 63)
	}
	container := containerName(p.GetContainer())
	dst = t.column(dst, plain, strconv.FormatUint(uint64(p.GetPid()), 10), 9)
	dst = t.column(dst, plain, strconv.FormatUint(uint64(p.GetPpid()), 10), 9)
	dst = t.column(dst, plain, t.users.of(p), 12)
	dst = t.column(dst, cyan, dash(container), 16)
	return t.column(dst, plain, event.Printable(p.GetComm()), 17)
}

// column pads to a width. On a terminal, what is too long is cut.
func (t *recordTable) column(dst []byte, c colour, text string, width int) []byte {
	if t.terminal {
		text = t.fit(text, width-1)
	}
	dst = t.append(dst, c, text)
	return appendSpaces(dst, max(1, width-columns(text)))
}

func (t *recordTable) sampledOut(dst []byte, n uint64) []byte {
	if t.host != "" {
		dst = append(append(dst, t.host...), ' ')
	}
	return append(t.append(dst, yellow, formatCount(n)+" records left out (--max-rate)"), '\n')
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
