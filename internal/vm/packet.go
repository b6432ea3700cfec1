// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// PacketKind is what kind of program looks at a packet, and so what its context is.
type PacketKind uint8

// The kinds of contexts of packets.
const (
	XDP PacketKind = iota // struct xdp_md
	SKB                   // struct __sk_buff
)

// RunPacket runs a program on a packet, which it may write.
func (m *Machine) RunPacket(p *Program, kind PacketKind, packet []byte) (r0 uint64, err error) {
	return m.start(p, m.BeginPacket(kind, packet))
}

// BeginPacket is Begin with the context of a packet.
func (m *Machine) BeginPacket(kind PacketKind, packet []byte) Value {
	data := m.adopt(&Region{Kind: Packet, Data: packet})
	begin, end := Pointer(data, 0), Pointer(data, int64(len(packet)))
	context := m.Region(Context, "xdp_md", 24)
	context.fields = []field{{0, 4, begin}, {4, 4, end}, {8, 4, begin}}
	if kind == SKB {
		context = m.Region(Context, "__sk_buff", 192)
		context.Data[0], context.Data[1] = byte(len(packet)), byte(len(packet)>>8)
		context.fields = []field{{76, 4, begin}, {80, 4, end}, {140, 4, begin}}
	}
	m.run = run{left: m.budget, packet: data}
	return Pointer(context, 0)
}

// packetLoadBytes reads from the packet of the run; what is not there is an error.
func packetLoadBytes(c *Call) (Value, error) {
	offset, err := c.Number(1)
	if err != nil {
		return Value{}, err
	}
	size, err := c.Size(3)
	if err != nil {
		return Value{}, err
	}
	to, err := c.Room(2, size)
	if err != nil {
		return Value{}, err
	}
	packet := c.Machine.run.packet
	if packet == nil {
		return Value{}, errors.New("the run has no packet")
	}
	if o := uint64(uint32(offset)); o+uint64(size) <= uint64(len(packet.Data)) {
		return Number(0), to.Write(packet.Data[o : o+uint64(size)])
	}
	return failed(to, size, -efault)
}

// loadPacket is the instruction of classic BPF: reads in network order, and leaves the
// program with 0 where there is nothing.
func (m *Machine) loadPacket(f *frame, in *inst) error {
	packet := m.run.packet
	if packet == nil {
		return errors.New("it reads a packet, and the run has none")
	}
	at := int64(int32(in.imm))
	if in.op.Mode() == asm.IndMode {
		v, err := f.get(in.src)
		if err != nil {
			return err
		}
		at += int64(uint32(v.Number))
	}
	width := in.op.Size().Sizeof()
	if width == 8 {
		return errNoSuch
	}
	f.clobber()
	if at < 0 || at+int64(width) > int64(len(packet.Data)) {
		return fmt.Errorf("%w: %d bytes at %d", errPastPacket, width, at)
	}
	n := number(packet.Data[at : at+int64(width)])
	return f.set(asm.R0, Number(bits.ReverseBytes64(n)>>(64-8*width)))
}

// errPastPacket ends the program with 0, not in a fault.
var errPastPacket = errors.New("it reads what the packet does not have")
