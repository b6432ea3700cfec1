// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// value turns bytes into a value by their type. What is missing is 0.
func (d *decoder) value(t bt.Type, data []byte) render.Value {
	switch t.Kind {
	case bt.Integer:
		return d.integer(t, number(data, t.Size, t.Signed))
	case bt.Pointer:
		return render.Value{Kind: render.Pointer, Int: number(data, 8, false)}
	case bt.String:
		return render.Value{Kind: render.Text, Text: d.marked(t, text(data, t.Size))}
	case bt.Buffer:
		n := min(max(int(number(data, 4, false)), 0), max(len(data)-4, 0), max(t.Size-4, 0))
		return render.Value{Kind: render.Buffer, Text: string(at(data, 4)[:n])}
	case bt.ArrayOf, bt.Record, bt.Tuple:
		return d.compound(t, data)
	case bt.KStack, bt.UStack, bt.KSymbol, bt.USymbol:
		return d.address(t, data)
	case bt.Container, bt.Pod, bt.ExecID, bt.Executable, bt.Ancestors:
		return d.identified(t, data)
	}
	return d.named(t, data)
}

// number reads an integer of so many bytes; 0 is 8.
func number(data []byte, size int, signed bool) int64 {
	if size <= 0 || size > 8 {
		size = 8
	}
	var whole [8]byte
	copy(whole[:], data[:min(size, len(data))])
	n := int64(binary.LittleEndian.Uint64(whole[:])) // both machines that there are agents for
	if signed {
		drop := 64 - 8*size
		n = n << drop >> drop
	}
	return n
}

func text(data []byte, size int) string {
	if size > 0 && size < len(data) {
		data = data[:size]
	}
	if end := bytes.IndexByte(data, 0); end >= 0 {
		data = data[:end]
	}
	return string(data)
}

// marked is a text with a mark behind it if it fills all that max_strlen leaves.
func (d *decoder) marked(t bt.Type, text string) string {
	if t.Size == d.script.Limits.MaxStrlen && len(text) == t.Size-1 {
		return text + d.script.Limits.CutMark
	}
	return text
}

// enumerator is the name of a value of an enumeration, the script's own or the kernel's.
func (d *decoder) enumerator(enum string, n int64) string {
	if names, ok := d.script.Enums[enum]; ok {
		return names[n]
	}
	return d.host.EnumName(enum, n)
}

func (d *decoder) integer(t bt.Type, n int64) render.Value {
	switch {
	case strings.HasPrefix(t.Name, "enum "):
		return render.Value{Kind: render.Enum, Int: n, Text: d.enumerator(t.Name, n)}
	case t.Name == "bool":
		return render.Value{Kind: render.Bool, Int: n}
	case t.Signed:
		return render.Value{Kind: render.Integer, Size: t.Size, Int: n}
	}
	return render.Value{Kind: render.Unsigned, Size: t.Size, Int: n}
}

// mostElements bounds what is shown of an array.
const mostElements = 4096

func (d *decoder) compound(t bt.Type, data []byte) render.Value {
	if t.Kind == bt.ArrayOf {
		v := render.Value{Kind: render.Array}
		if t.Elem == nil || t.Elem.Size <= 0 {
			return v
		}
		for i := range min(t.Size/t.Elem.Size, mostElements) {
			v.Elems = append(v.Elems, d.value(*t.Elem, at(data, i*t.Elem.Size)))
		}
		return v
	}
	v := render.Value{Kind: render.Tuple}
	if t.Kind == bt.Record {
		v.Kind = render.Record
	}
	for _, f := range t.Fields {
		if f.Name != "" {
			v.Kind = render.Record
		}
		v.Names = append(v.Names, f.Name)
		v.Elems = append(v.Elems, d.field(f, at(data, f.Offset)))
	}
	return v
}

func (d *decoder) field(f bt.Field, data []byte) render.Value {
	if f.BitSize == 0 {
		return d.value(f.Type, data)
	}
	n := number(data, 8, false) >> f.BitOffset
	drop := 64 - f.BitSize
	n = int64(uint64(n) << drop >> drop) // without a sign, as in expressions
	return d.integer(f.Type, n)
}

// named are the values that stand for something with a name.
func (d *decoder) named(t bt.Type, data []byte) render.Value {
	n := number(data, 8, true)
	out := render.Value{Kind: render.Text, Int: n}
	switch t.Kind {
	case bt.InetAddress:
		out.Text = inetAddress(n, at(data, 8))
	case bt.MACAddress:
		mac := make([]string, 6)
		for i := range mac {
			mac[i] = fmt.Sprintf("%02X", number(at(data, i), 1, false))
		}
		out.Text = strings.Join(mac, ":")
	case bt.Timestamp:
		out.Text = render.Strftime(t.Name, d.wall(n), true)
	case bt.CgroupPath:
		out.Text = d.names.cgroup(uint64(n), t.Name)
	case bt.UserName:
		out.Text = d.names.user(uint32(n))
	case bt.KernelErrno:
		if out.Text = unix.ErrnoName(unix.Errno(max(n, -n))); out.Text == "" {
			return render.Value{Kind: render.Integer, Int: n}
		}
	case bt.Strerror:
		out.Text = strerror(n)
	case bt.SignalName:
		if out.Text = unix.SignalName(unix.Signal(n)); out.Text == "" {
			return render.Value{Kind: render.Integer, Int: n}
		}
	case bt.ProbeName:
		names := d.script.ProbeNames
		if t.Name != "" {
			names = d.script.FunctionNames
		}
		if n >= 0 && n < int64(len(names)) {
			out.Text = names[n]
		}
	default:
		return render.Value{}
	}
	return out
}

// wallFor is how long the difference of the clocks counts as known: two times that are shown
// together must not differ by what passes between them.
const wallFor = 10 * time.Second

// wall is the time of day of a time since boot in nanoseconds.
func (d *decoder) wall(n int64) time.Time {
	if time.Since(d.compared) > wallFor {
		d.compared = time.Now()
		d.booted = d.compared.Add(-bootTime())
	}
	return d.booted.Add(time.Duration(n))
}

func inetAddress(family int64, data []byte) string {
	var raw [16]byte
	copy(raw[:], data)
	if family == unix.AF_INET6 {
		return netip.AddrFrom16(raw).String()
	}
	return netip.AddrFrom4([4]byte(raw[:4])).String()
}
