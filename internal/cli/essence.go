// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"path"
	"strconv"
	"strings"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// essence renders what is particular to a kind: the arguments of an exec, the
// ends of a connection, the code of an exit.
type essence struct {
	screen
	to, from, up, down string
}

func newEssence(s screen) essence {
	return essence{screen: s,
		to: s.glyph(" → ", " -> "), from: s.glyph(" ← ", " <- "),
		up: s.glyph("↑", "sent "), down: s.glyph("↓", "rcvd ")}
}

func (e essence) record(dst []byte, r *skepv1.Record) []byte {
	switch b := r.GetBody().(type) {
	case *skepv1.Record_Fork:
		dst = append(dst, "by "...)
		return strconv.AppendUint(dst, uint64(r.GetProcess().GetPpid()), 10)
	case *skepv1.Record_Exec:
		return e.exec(dst, b.Exec, r.GetProcess())
	case *skepv1.Record_Exit:
		return e.exit(dst, b.Exit)
	case *skepv1.Record_Oom:
		return e.oom(dst, b.Oom)
	case *skepv1.Record_Connection:
		return e.connection(dst, b.Connection, r.GetKind())
	case *skepv1.Record_Dns:
		return e.dns(dst, b.Dns)
	case *skepv1.Record_File:
		return e.file(dst, b.File)
	case *skepv1.Record_Unix:
		return e.unix(dst, b.Unix)
	case *skepv1.Record_Host:
		return e.host(dst, b.Host)
	case *skepv1.Record_Loss:
		return e.loss(dst, b.Loss)
	case *skepv1.Record_Agent:
		return e.agent(dst, b.Agent)
	}
	return dst
}

func (e essence) exec(dst []byte, x *skepv1.Exec, p *skepv1.Process) []byte {
	if len(x.GetArgs()) == 0 {
		dst = append(dst, event.Printable(p.GetExe())...)
	}
	dst = appendCommand(dst, x.GetArgs())
	if x.GetArgsTruncated() {
		dst = append(dst, e.glyph(" …", " ...")...)
	}
	if file := x.GetFile().GetPath(); file != "" && !namedBy(file, x.GetArgs()) {
		dst = append(dst, ' ')
		dst = e.append(dst, dim, "("+event.Printable(file)+")")
	}
	return e.execFlags(dst, x, p.GetUid())
}

// namedBy: the first argument already says which program it is.
func namedBy(file string, args []string) bool {
	return len(args) > 0 && (args[0] == file || path.Base(args[0]) == path.Base(file))
}

func (e essence) execFlags(dst []byte, x *skepv1.Exec, uid uint32) []byte {
	for _, f := range []struct {
		set  bool
		name string
	}{{x.GetMemfd(), "memfd"}, {x.GetUnlinked(), "unlinked"}, {x.GetSetuid(), "setuid"}, {x.GetSetgid(), "setgid"},
		{x.GetFileCaps(), "file-caps"}, {x.GetEnteredContainer(), "entered-container"}} {
		if f.set {
			dst = append(dst, ' ')
			dst = e.append(dst, yellow, "["+f.name+"]")
		}
	}
	if uid != 0 {
		dst = append(dst, ' ')
		dst = e.append(dst, dim, "uid="+strconv.FormatUint(uint64(uid), 10))
	}
	return dst
}

func (e essence) exit(dst []byte, x *skepv1.Exit) []byte {
	how, c := exitStatus(x)
	dst = e.append(dst, c, how)
	dst = append(dst, " after "...)
	dst = appendDuration(dst, time.Duration(x.GetDurationNs()))
	dst = append(dst, ", rss "...)
	dst = appendBytes(dst, x.GetMaxRssBytes())
	dst = append(dst, ", cpu "...)
	return appendDuration(dst, time.Duration(x.GetUserNs()+x.GetSystemNs()))
}

func exitStatus(x *skepv1.Exit) (string, colour) {
	switch {
	case x.GetSignal() == 0 && x.GetCode() == 0:
		return "code 0", plain
	case x.GetSignal() == 0:
		return "code " + strconv.FormatUint(uint64(x.GetCode()), 10), red
	}
	name := event.Printable(x.GetSignalName())
	if name == "" {
		name = "signal " + strconv.FormatUint(uint64(x.GetSignal()), 10)
	}
	if x.GetCoreDumped() {
		name += " (core dumped)"
	}
	return name, red
}

func (e essence) oom(dst []byte, o *skepv1.Oom) []byte {
	text := "killed: out of memory, rss " + formatBytes(o.GetVictimRssBytes())
	if o.GetCgroup() == "" {
		return e.append(dst, loud, text+", the host is short")
	}
	return e.append(dst, loud, text+", "+event.Printable(o.GetCgroup())+" uses "+
		formatBytes(o.GetUsageBytes())+" of "+formatBytes(o.GetLimitBytes()))
}

func (e essence) connection(dst []byte, c *skepv1.Connection, kind string) []byte {
	dst = appendEndpoint(dst, c.GetLocal())
	if kind == "listen" {
		dst = append(dst, " backlog "...)
		return strconv.AppendUint(dst, uint64(c.GetBacklog()), 10)
	}
	dst = append(dst, e.arrow(c)...)
	dst = appendEndpoint(dst, c.GetRemote())
	if name := c.GetRemoteName(); name != "" {
		dst = append(dst, ' ')
		dst = e.append(dst, bold, event.Printable(name))
	}
	dst = e.peer(dst, c.GetPeer())
	switch kind {
	case "close":
		dst = e.traffic(dst, c)
	case "udp":
		return e.datagrams(dst, c)
	}
	return e.failure(dst, c)
}

func (e essence) arrow(c *skepv1.Connection) string {
	if c.GetDirection() == "inbound" {
		return e.from
	}
	return e.to
}

func (e essence) peer(dst []byte, p *skepv1.Peer) []byte {
	if p.GetPid() == 0 {
		return dst
	}
	dst = append(dst, ' ')
	return e.append(dst, dim, "("+event.Printable(p.GetComm())+"["+strconv.FormatUint(uint64(p.GetPid()), 10)+"])")
}

func (e essence) traffic(dst []byte, c *skepv1.Connection) []byte {
	dst = append(append(dst, ' '), e.up...)
	dst = appendBytes(dst, c.GetBytesSent())
	dst = append(append(dst, ' '), e.down...)
	dst = appendBytes(dst, c.GetBytesReceived())
	if c.GetRttUs() > 0 {
		dst = append(dst, " rtt "...)
		dst = appendDuration(dst, time.Duration(c.GetRttUs())*time.Microsecond)
	}
	if n := c.GetRetransmits(); n > 0 {
		dst = append(dst, ' ')
		dst = e.append(dst, yellow, strconv.FormatUint(uint64(n), 10)+" retransmits")
	}
	dst = append(dst, " after "...)
	dst = appendDuration(dst, time.Duration(c.GetDurationNs()))
	if reason := c.GetCloseReason(); reason != "" {
		dst = append(dst, ", "...)
		dst = e.append(dst, reasonColour(reason), event.Printable(reason))
	}
	return dst
}

func reasonColour(reason string) colour {
	switch reason {
	case "local", "peer":
		return plain
	}
	return red
}

func (e essence) failure(dst []byte, c *skepv1.Connection) []byte {
	name := event.Printable(c.GetErrorName())
	switch {
	case name == "":
		return dst
	case c.GetError() == 0:
		name = "failed" // this rung cannot tell why
	}
	return e.append(append(dst, ' '), red, name)
}

func (e essence) loss(dst []byte, l *skepv1.Loss) []byte {
	text, what := "LOST ", event.Printable(l.GetLostKind())+" records"
	if l.GetPlace() == "program_missed" { // the run may have had nothing to record
		text, what = "MISSED ", "runs of a program"
	}
	if l.GetCount() > 0 { // else it is not known, or not yet
		text += formatCount(l.GetCount()) + " " + what
	} else {
		text += "records"
	}
	text += ": " + event.Printable(l.GetPlace())
	if l.GetLastSeq() > 0 {
		text += ", seq " + strconv.FormatUint(l.GetFirstSeq(), 10) + "-" + strconv.FormatUint(l.GetLastSeq(), 10)
	}
	if l.GetDetail() != "" {
		text += " (" + event.Printable(l.GetDetail()) + ")"
	}
	return e.append(dst, loud, text)
}

func (e essence) agent(dst []byte, g *skepv1.Agent) []byte {
	text := "agent " + event.Printable(g.GetEvent()) + " " + event.Printable(g.GetVersion())
	if g.GetDrained() > 0 || g.GetLost() > 0 {
		text += ", drained " + formatCount(g.GetDrained()) + ", lost " + formatCount(g.GetLost())
	}
	if g.GetDetail() != "" {
		text += ": " + event.Printable(g.GetDetail())
	}
	return e.append(dst, bold, strings.TrimRight(text, " "))
}

// appendEndpoint writes address:port, IPv6 in brackets.
func appendEndpoint(dst []byte, ep *skepv1.Endpoint) []byte {
	addr := event.Printable(ep.GetAddress())
	if strings.IndexByte(addr, ':') >= 0 {
		dst = append(append(append(dst, '['), addr...), ']')
	} else {
		dst = append(dst, addr...)
	}
	return strconv.AppendUint(append(dst, ':'), uint64(ep.GetPort()), 10)
}

func endpoint(ep *skepv1.Endpoint) string { return string(appendEndpoint(nil, ep)) }
