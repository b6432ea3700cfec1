// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// compact renders one line per record. It appends to a byte slice and
// allocates next to nothing: it has to keep up with 50,000 records a second.
type compact struct {
	essence
	clock clock
	// host is the column's text where hosts were named.
	host string
	// node is the first node seen; a second one brings the column.
	node      string
	manyNodes bool
	// containers is set by the first record of a container, and brings the column.
	containers bool
}

func newCompact(s screen) *compact {
	return &compact{essence: newEssence(s), clock: clock{now: time.Now}}
}

const (
	kindColumns      = 8
	whoColumns       = 23
	nodeColumns      = 12
	containerColumns = 14
)

func (c *compact) header(dst []byte) []byte { return dst }

func (c *compact) record(dst []byte, r *skepv1.Record) []byte {
	dst = c.append(dst, dim, c.clock.format(r.GetTime().GetSeconds(), r.GetTime().GetNanos()))
	dst = append(dst, ' ')
	dst = append(dst, c.host...)
	dst = c.appendNode(dst, r.GetNodeName())
	kind := event.Printable(r.GetKind())
	dst = c.append(dst, kindColour(r.GetKind()), kind)
	dst = appendSpaces(dst, kindColumns-columns(kind))
	if p := r.GetProcess(); p != nil {
		dst = c.appendWho(dst, p)
		dst = c.appendContainer(dst, p.GetContainer())
	}
	dst = c.essence.record(dst, r)
	return append(dst, '\n')
}

func (c *compact) appendNode(dst []byte, node string) []byte {
	if c.host != "" {
		return dst // the word of a host about itself is not the host
	}
	if c.node == "" {
		c.node = node
	}
	c.manyNodes = c.manyNodes || node != c.node
	if !c.manyNodes {
		return dst
	}
	return append(appendPadded(dst, event.Printable(node), nodeColumns), ' ')
}

func (c *compact) appendWho(dst []byte, p *skepv1.Process) []byte {
	comm := event.Printable(p.GetComm())
	start := len(dst)
	dst = append(dst, comm...)
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(p.GetPid()), 10)
	dst = append(dst, ']')
	return append(appendSpaces(dst, whoColumns-(len(dst)-start)+len(comm)-columns(comm)), ' ')
}

func (c *compact) appendContainer(dst []byte, ct *skepv1.Container) []byte {
	name := containerName(ct)
	c.containers = c.containers || name != ""
	if !c.containers {
		return dst
	}
	if name == "" {
		name = "-"
	}
	if c.terminal {
		name = c.fit(name, containerColumns)
	}
	dst = c.append(dst, cyan, name)
	return appendSpaces(dst, max(1, containerColumns+1-columns(name)))
}

func (c *compact) sampledOut(dst []byte, n uint64) []byte {
	line := c.host + formatCount(n) + " records left out (--max-rate)"
	return append(c.append(dst, yellow, line), '\n')
}

// containerName is the name or, without one, the short id that runtimes show.
func containerName(c *skepv1.Container) string {
	if c.GetName() != "" {
		return event.Printable(c.GetName())
	}
	return event.Printable(shortID(c.GetId()))
}

func shortID(id string) string { return id[:min(12, len(id))] }

func kindColour(kind string) colour {
	switch kind {
	case "exec":
		return green
	case "exit":
		return blue
	case "fork":
		return dim
	case "connect", "accept", "unix":
		return cyan
	case "close", "listen", "udp":
		return magenta
	case "dns":
		return bold
	case "file", "host":
		return yellow
	case "oom", "loss":
		return loud
	}
	return yellow
}

// clock writes local wall time in 15 columns: today 15:04:05.000000, another
// day "Jan _2 15:04:05". Records come in bursts within one second, so the
// part before the dot is kept.
type clock struct {
	now    func() time.Time
	second int64
	valid  bool
	today  bool
	buf    []byte
}

func (c *clock) format(sec int64, nsec int32) string {
	if !c.valid || sec != c.second {
		c.turn(sec)
	}
	if !c.today {
		return string(c.buf)
	}
	us := nsec / 1000
	for i := 14; i > 8; i-- {
		c.buf[i] = byte('0' + us%10)
		us /= 10
	}
	return string(c.buf)
}

func (c *clock) turn(sec int64) {
	t, now := time.Unix(sec, 0), c.now()
	c.second, c.valid = sec, true
	c.today = t.YearDay() == now.YearDay() && t.Year() == now.Year()
	layout := time.Stamp
	if c.today {
		layout = "15:04:05.000000"
	}
	c.buf = t.AppendFormat(c.buf[:0], layout)
}
