// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected makes so many connections to a listener of its own, sends size bytes by each,
// and closes them. It returns the listener's port.
func connected(t *testing.T, address string, n, size int) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("needs %s: %v", address, err)
	}
	defer listener.Close()
	for range n {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			return 0
		}
		server, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return 0
		}
		if size > 0 {
			client.Write(make([]byte, size))
			server.Read(make([]byte, 2*size))
		}
		client.Close()
		server.Read(make([]byte, 1)) // the end
		server.Close()
	}
	return listener.Addr().(*net.TCPAddr).Port
}

func swapped(port int) int { return port>>8 | port&0xff<<8 }

func socketLikenesses() []likeness {
	const (
		dport = "((struct sock *)arg0)->__sk_common.skc_dport"
		num   = "((struct sock *)arg0)->__sk_common.skc_num"
	)
	connects := func(address string) func(t *testing.T) []string {
		return func(t *testing.T) []string { return times(3, "%d", swapped(connected(t, address, 3, 0))) }
	}
	ports := func(address string) func(t *testing.T) []string {
		return func(t *testing.T) []string { return times(3, "%d", connected(t, address, 3, 0)) }
	}
	results := func(size int, do func(t *testing.T)) func(t *testing.T) []string {
		return func(t *testing.T) []string {
			do(t)
			return times(3, "%d", size)
		}
	}
	tcp := func(t *testing.T) { connected(t, "127.0.0.1:0", 3, 1357) }
	udp := func(t *testing.T) { datagrams(t, 3, 1359) }
	return []likeness{
		{functions: "kprobe:tcp_connect", keep: ours, print: dport, provoke: connects("127.0.0.1:0")},
		{functions: "kprobe:tcp_v4_connect kprobe:tcp_v6_connect", keep: ours, print: "1", provoke: func(t *testing.T) []string {
			connected(t, map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"}[t.Name()[strings.Index(t.Name(), "tcp_v")+4:][:2]], 3, 0)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_set_state", keep: ours + " && arg1 == 2", print: "arg1", provoke: func(t *testing.T) []string {
			connected(t, "127.0.0.1:0", 3, 0)
			return times(3, "2")
		}},
		{functions: "kretprobe:inet_csk_accept", keep: ours + " && retval != 0", print: "((struct sock *)retval)->__sk_common.skc_num", provoke: ports("127.0.0.1:0")},
		{functions: "kprobe:tcp_v4_syn_recv_sock", keep: num + " == SYNPORT", print: "((struct sock *)arg0)->sk_max_ack_backlog", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET, 19)
			defer unix.Close(fd)
			return dialed(t, "127.0.0.1")
		}},
		{functions: "kprobe:tcp_v6_syn_recv_sock", keep: num + " == SYNPORT", print: "((struct sock *)arg0)->sk_max_ack_backlog", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET6, 19)
			defer unix.Close(fd)
			return dialed(t, "::1")
		}},
		{functions: "kprobe:tcp_v4_destroy_sock", keep: dport + " == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			connected(t, fmt.Sprintf("127.0.0.1:%d", knownPort), 3, 0)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_rcv_space_adjust", keep: ours + " && " + num + " == SYNPORT", print: "1", provoke: func(t *testing.T) []string {
			connected(t, fmt.Sprintf("127.0.0.1:%d", knownPort), 3, 1357)
			return times(3, "1")
		}},
		{functions: "kprobe:tcp_reset", keep: dport + " == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			for range 3 {
				if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", knownPort)); err == nil {
					c.Close()
					t.Error("connected to nobody")
				}
			}
			return times(3, "1")
		}},
		{functions: "kprobe:inet_listen", keep: ours + " && arg1 == 19", print: "((struct socket *)arg0)->sk->__sk_common.skc_family", provoke: func(t *testing.T) []string {
			for range 3 {
				unix.Close(listening(t, unix.AF_INET, 19))
			}
			return times(3, "2")
		}},
		{functions: "kretprobe:tcp_sendmsg", keep: ours + " && retval == 1357", print: "retval", provoke: results(1357, tcp)},
		{functions: "kretprobe:tcp_recvmsg", keep: ours + " && retval == 1357", print: "retval", provoke: results(1357, tcp)},
		{functions: "kretprobe:udp_sendmsg", keep: ours + " && retval == 1359", print: "retval", provoke: results(1359, udp)},
		{functions: "kretprobe:udp_recvmsg", keep: ours + " && retval == 1359", print: "retval", provoke: results(1359, udp)},
	}
}

// knownPort is that of listeners which a predicate names.
var knownPort = func() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 19191
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}()

// listening is a socket that listens at the known port.
func listening(t *testing.T, family, backlog int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs sockets: %v", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	var address unix.Sockaddr = &unix.SockaddrInet4{Port: knownPort, Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{Port: knownPort, Addr: [16]byte{15: 1}}
	}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	return fd
}

// dialed connects three times to the known port, and returns the backlog as often.
func dialed(t *testing.T, host string) []string {
	t.Helper()
	for range 3 {
		c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(knownPort)))
		if err != nil {
			t.Error(err)
			continue
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return times(3, "19")
}

// datagrams sends so many to a socket of its own that reads them.
func datagrams(t *testing.T, n, size int) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for range n {
		client.Write(make([]byte, size))
		server.Read(make([]byte, size))
	}
}

func packetLikenesses() []likeness {
	unread := func(t *testing.T) []string { // to a port where nobody listens
		client, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", knownPort))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for range 3 {
			client.Write(make([]byte, 1361))
			client.(*net.UDPConn).SetReadDeadline(time.Now().Add(5 * time.Second))
			client.Read(make([]byte, 1)) // that it was refused
		}
		return times(3, "1369")
	}
	return []likeness{
		{functions: "kprobe:tcp_retransmit_skb", keep: "((struct sock *)arg0)->__sk_common.skc_dport == SWAPPEDPORT", print: "1", provoke: func(t *testing.T) []string {
			fd := listening(t, unix.AF_INET, 0)
			defer unix.Close(fd)
			for range 2 { // one fills the queue; the second is not answered, and tries again after a second
				c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(c)
				unix.Connect(c, &unix.SockaddrInet4{Port: knownPort, Addr: [4]byte{127, 0, 0, 1}})
			}
			time.Sleep(2 * time.Second) // after one second, and after three
			return times(1, "1")
		}},
		{functions: "kprobe:kfree_skb_reason kprobe:sk_skb_reason_drop", keep: "((struct sk_buff *)PACKET)->len == 1369", print: "((struct sk_buff *)PACKET)->len", provoke: unread},
		{functions: "kprobe:__dev_queue_xmit", keep: "((struct sk_buff *)arg0)->len == 1373", print: "((struct sk_buff *)arg0)->len", provoke: func(t *testing.T) []string {
			datagrams(t, 3, 1373-42)
			return times(3, "1373")
		}},
		{functions: "kprobe:skb_copy_datagram_iter", keep: ours + " && arg3 == 1363", print: "((struct sk_buff *)arg0)->len; arg3", provoke: streams},
		{functions: "kprobe:unix_stream_read_actor", keep: ours + " && arg2 == 1363", print: "((struct sk_buff *)arg0)->len; arg2", provoke: streams},
	}
}

// streams reads from local sockets what it has written.
func streams(t *testing.T) []string {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	for range 3 {
		unix.Write(pair[0], make([]byte, 1363))
		unix.Read(pair[1], make([]byte, 1363))
	}
	return times(3, "1363 1363")
}
