// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"io"
	"net"
	"strconv"
	"testing"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// The acceptor and the end of the handshake may each take the accept's record for the
// other's to make, where the processor lets loads pass stores and the ring is full. As
// if that had happened, the record is taken back: the close makes it, before its own.
func TestUntoldAccept(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			client, server, port := connected(t)
			tr := w.until(t, port, "the accept", func(tr *trace) bool { return len(tr.accept) == 1 })
			id := tr.accept[0].Socket.ID
			w.untell(t, server, id)
			client.Close()
			io.ReadAll(server)
			server.Close()
			w.until(t, port, "both closes", closed(1))
			var order []abi.EventType
			for _, e := range w.events {
				if e.Socket.ID == id {
					order = append(order, abi.EventType(e.Header.Type))
				}
			}
			if n := len(order); n != 4 || order[1] != abi.EventAccept || order[2] != abi.EventAccept || order[3] != abi.EventClose {
				t.Errorf("events %v, want established (%d), accept (%d) twice, close (%d)", order, abi.EventEstablished, abi.EventAccept, abi.EventClose)
			}
		})
	}
}

// connected is both ends of a connection of this process, which has carried a byte.
func connected(t *testing.T) (client, server *net.TCPConn, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), s.(*net.TCPConn), uint16(l.Addr().(*net.TCPAddr).Port)
}

// untell makes the kernel side forget that it has made a socket's accept record.
func (w *watch) untell(t *testing.T, c *net.TCPConn, id uint64) {
	t.Helper()
	name, key := "tcp_sockets_hash", any(nil)
	if CanScan(*w.rung) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { name, key = "tcp_sockets", int32(fd) })
	}
	m, err := w.kernel.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	var value []byte
	if key == nil {
		var address uint64
		for all := m.Iterate(); all.Next(&address, &value); {
			if (*abi.TcpSocket)(unsafe.Pointer(&value[0])).ID == id {
				key = address
				break
			}
		}
	}
	if err := m.Lookup(key, &value); err != nil {
		t.Fatal(err)
	}
	s := (*abi.TcpSocket)(unsafe.Pointer(&value[0]))
	if s.ID != id || abi.TcpAccept(s.Accept) != abi.TcpAcceptTold {
		t.Fatalf("socket %d is known as %+v", id, s)
	}
	s.Accept = uint8(abi.TcpAcceptTaken)
	if err := m.Put(key, value); err != nil {
		t.Fatal(err)
	}
}

// The barrier of processors that need another one than x86 leaves no trace in the ring.
func TestWeakOrder(t *testing.T) {
	s := Sensor()
	for i := range s.Ladders[0].Rungs {
		s.Ladders[0].Rungs[i].Config["cfg_weak_order"] = true
	}
	w := startSensor(t, s, "")
	defer w.logCost(t)
	const n = 200
	said := w.playWhileReading(t, "many", strconv.Itoa(n), "1")
	tr := w.until(t, said.port(t, "port"), "all closes", closed(n))
	tr.wantCounts(t, 1, n, n, n)
}
