// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// A socket's storage is charged to the socket, so whoever fills that account first
// would not be seen. Any user can.
func TestFullSocketMemory(t *testing.T) {
	for _, rung := range []string{"fexit", "cgroup", "tp_btf"} {
		t.Run(rung, func(t *testing.T) {
			needRung(t, rung)
			w := start(t, rung)
			said := play(t, "stuffed")
			if said["keys"] == "" {
				t.Skip("needs CONFIG_TCP_MD5SIG: keys are what fills the memory")
			}
			tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
			tr.wantCounts(t, 1, 1, 1, 1)
			pid := said.pid(t, "pid")
			for _, e := range []Event{tr.listen[0], tr.connect[0], tr.established[0], tr.accept[0], tr.active[0], tr.passive[0]} {
				w.wantOwner(t, "event", e, pid)
				if has(e, abi.TcpPreexisting) {
					t.Errorf("a new socket counts as old: %+v", e.Socket)
				}
			}
			wantBytes(t, "client", tr.active[0], 10, 0)
			if n := w.entries(t, said.port(t, "port")); n > 0 {
				t.Errorf("%d entries of closed sockets are left over", n)
			}
			if n := w.rescued(t); n > 0 {
				t.Errorf("%d rescues of what nothing was missed of", n)
			}
		})
	}
}

// entries counts the sockets and listeners of a port that are known by hash.
func (w *watch) entries(t *testing.T, port uint16) int {
	t.Helper()
	n := 0
	w.each(t, "tcp_sockets_hash", func(_, value []byte) {
		if ends := (*abi.TcpSocket)(unsafe.Pointer(&value[0])).Ends; ends.LocalPort == port || ends.RemotePort == port {
			n++
		}
	})
	w.each(t, "tcp_listeners", func(key, _ []byte) {
		if binary.NativeEndian.Uint32(key[4:]) == uint32(port) { // behind the network namespace
			n++
		}
	})
	return n
}

// each calls fn with all elements of a map.
func (w *watch) each(t *testing.T, name string, fn func(key, value []byte)) {
	t.Helper()
	m, err := w.kernel.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	var key, value []byte
	all := m.Iterate()
	for all.Next(&key, &value) {
		fn(key, value)
	}
	if err := all.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) { // others of this host come and go
		t.Fatal(err)
	}
}

// stuffed: as nobody, listens and connects with sockets that have no memory left for options.
func stuffed([]string) {
	check1(syscall.Setuid(65534))
	l, c := socket(unix.AF_INET, 0), socket(unix.AF_INET, 0)
	keys := stuff(l)
	if keys == 0 {
		return
	}
	say("keys", keys)
	stuff(c)
	_, any := address("ipv4", 0)
	check1(unix.Bind(l, any))
	check1(unix.Listen(l, 5))
	port := localPort(l)
	say("pid", unix.Getpid())
	say("port", port)
	_, to := address("ipv4", port)
	check1(unix.Connect(c, to))
	s := accept(l, true)
	write(c, 10)
	read(s, 10)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
}

// stuff adds keys until no more fit; 0 where the kernel has none.
func stuff(fd int) int {
	for n := 0; ; n++ {
		key := &unix.TCPMD5Sig{Keylen: 1}
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&key.Addr)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Addr: [4]byte{10, 1, byte(n >> 8), byte(n)},
		}
		switch err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, key); err {
		case nil:
		case unix.ENOMEM:
			return n
		case unix.ENOPROTOOPT:
			return 0
		default:
			check1(err)
		}
	}
}
