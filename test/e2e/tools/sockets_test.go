// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var socketTrials = []trial{
	{name: "bindsnoop", generate: func(g *generator) {
		for i := range 5 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			g.check(err)
			g.check(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(i + 1)}, Port: 0}))
			g.Texts["bound"] = append(g.Texts["bound"], fmt.Sprintf("%d 0 127.0.0.%d", fd, i+1))
			g.check(unix.Close(fd))
		}
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		g.check(err)
		g.check(unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 0}))
		at, err := unix.Getsockname(fd)
		g.check(err)
		other, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		g.check(err)
		port := at.(*unix.SockaddrInet6).Port
		g.check(unix.Bind(other, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: port}))
		g.Texts["bound"] = append(g.Texts["bound"], fmt.Sprintf("%d 0 ::1", fd), fmt.Sprintf("%d %d ::1", other, port))
	}, check: func(t *testing.T, o *outcome) {
		same(t, "bound", texts(o.records, "fd", "port", "address"), o.Texts["bound"])
	}},
	{name: "tcpconnect", prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		var want []string
		for range conversations {
			want = append(want, fmt.Sprintf("127.0.0.1 127.0.0.1 %d", o.Numbers["port"]), fmt.Sprintf("::1 ::1 %d", o.Numbers["port6"]))
		}
		same(t, "connections", texts(o.records, "source", "target", "dport"), want)
	}},
	{name: "tcpaccept", prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		same(t, "accepted", texts(o.records, "peer", "port"), o.Texts["clients"])
	}},
	{name: "tcplife", prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		same(t, "clients' ends", texts(o.where(toServer(o)), "source", "sport", "sent", "received"), o.Texts["carried"])
		same(t, "servers' ends", texts(o.where(fromServer(o)), "target", "dport", "received", "sent"), o.Texts["carried"])
		for _, r := range o.records {
			within(t, "age", r.number("age"), 0, o.took.Milliseconds()+1)
		}
	}},
	{name: "tcpstates", all: true, prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		for _, change := range []string{"CLOSE SYN_SENT", "SYN_SENT ESTABLISHED", "ESTABLISHED FIN_WAIT1"} {
			is(t, change, int64(strings.Count(strings.Join(texts(o.where(toServer(o)), "from_name", "to_name"), ","), change)), 2*conversations)
		}
		is(t, "LAST_ACK CLOSE", int64(strings.Count(strings.Join(texts(o.where(fromServer(o)), "from_name", "to_name"), ","), "LAST_ACK CLOSE")), 2*conversations)
	}},
	{name: "tcpconnlat", prepare: serve, generate: func(g *generator) {
		converse(g)
		refused(g)
	}, check: func(t *testing.T, o *outcome) {
		same(t, "connected", texts(o.where(func(r row) bool { return r["connected"] == true }), "source", "sport"), o.Texts["clients"])
		var want []string
		for range 6 {
			want = append(want, fmt.Sprintf("127.0.0.1 %d", o.Numbers["closed"]))
		}
		same(t, "refused", texts(o.where(func(r row) bool { return r["connected"] == false }), "target", "dport"), want)
		for _, r := range o.records {
			within(t, "latency", r.number("latency"), 1, o.took.Microseconds())
		}
	}},
	{name: "tcptop", prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		is(t, "sent", o.sum("@sent", nil), o.Numbers["bytes"])
		is(t, "received", o.sum("@received", nil), o.Numbers["bytes"])
	}},
	{name: "tcptop once", flags: []string{"--interval", "1h", "--top", "1"}, prepare: serve, generate: func(g *generator) {
		named("skep-talker", func() { converse(g) })
	}, check: func(t *testing.T, o *outcome) {
		is(t, "entries of the greatest", int64(len(o.maps["@received"])), 1)
	}},
	{name: "tcprtt", prepare: serve, generate: converse, check: func(t *testing.T, o *outcome) {
		within(t, "reads", o.counted("@rtt", nil, nil), 2*conversations, o.Numbers["reads"])
		within(t, "longest", o.counted("@rtt", nil, func(least, _ int64) bool { return least <= o.took.Microseconds() }), o.counted("@rtt", nil, nil), 1<<40)
	}},
	{name: "tcpdrop", all: true, generate: refused, check: func(t *testing.T, o *outcome) {
		found := o.where(func(r row) bool { return r.number("dport") == o.Numbers["closed"] })
		is(t, "packets to a closed port", int64(len(found)), 6)
		for _, r := range found {
			if r.text("reason_name") != "SKB_DROP_REASON_NO_SOCKET" || !strings.Contains(fmt.Sprint(r["stack"]), "tcp_v4_rcv") {
				t.Errorf("dropped because of %v at %v", r["reason_name"], r["stack"])
			}
		}
	}},
	{name: "tcpretrans", all: true, generate: unanswered, check: func(t *testing.T, o *outcome) {
		found := o.where(func(r row) bool { return r.number("dport") == 7777 })
		within(t, "segments that /proc/net/snmp counts", o.Numbers["again"], 4, 1000)
		is(t, "segments sent again", int64(len(found)), o.Numbers["again"])
		for _, r := range found {
			if r.text("state_name") != "SYN_SENT" {
				t.Errorf("the state is %v", r["state_name"])
			}
		}
	}},
}

const conversations = 6 // over IPv4, and as many over IPv6

// listeners are made before the tool is attached.
var listeners = map[string]net.Listener{}

func serve(g *generator) {
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		l, err := net.Listen(network, address)
		g.check(err)
		listeners[network] = l
		g.Numbers[map[string]string{"tcp4": "port", "tcp6": "port6"}[network]] = int64(l.Addr().(*net.TCPAddr).Port)
	}
}

func toServer(o *outcome) func(row) bool {
	return func(r row) bool {
		return r.number("dport") == o.Numbers["port"] || r.number("dport") == o.Numbers["port6"]
	}
}

func fromServer(o *outcome) func(row) bool {
	return func(r row) bool {
		return r.number("sport") == o.Numbers["port"] || r.number("sport") == o.Numbers["port6"]
	}
}

// converse connects to the listeners; each client sends, is answered, and closes first.
func converse(g *generator) {
	for i := range conversations {
		for network, l := range listeners {
			question, answer := make([]byte, 100*(i+1)), make([]byte, 7*(i+1))
			client, err := net.Dial(network, l.Addr().String())
			g.check(err)
			server, err := l.Accept()
			g.check(err)
			say(g, client, server, question)
			say(g, server, client, answer)
			at := client.LocalAddr().(*net.TCPAddr)
			g.Texts["clients"] = append(g.Texts["clients"], fmt.Sprintf("%s %d", at.IP, at.Port))
			g.Texts["carried"] = append(g.Texts["carried"], fmt.Sprintf("%s %d %d %d", at.IP, at.Port, len(question), len(answer)))
			g.check(client.Close())
			_, err = server.Read(make([]byte, 1)) // the end
			g.Numbers["reads"]++
			if err == nil {
				panic("more than was sent")
			}
			g.check(server.Close())
		}
	}
	time.Sleep(100 * time.Millisecond) // the last acknowledgements
}

func say(g *generator, from, to net.Conn, data []byte) {
	_, err := from.Write(data)
	g.check(err)
	for got := 0; got < len(data); {
		n, err := to.Read(make([]byte, len(data)))
		g.check(err)
		got += n
		g.Numbers["reads"]++
	}
	g.Numbers["bytes"] += int64(len(data))
}

// refused connects to a port where nobody listens.
func refused(g *generator) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	g.check(err)
	g.Numbers["closed"] = int64(l.Addr().(*net.TCPAddr).Port)
	g.check(l.Close())
	for range 6 {
		if c, err := net.Dial("tcp4", l.Addr().String()); err == nil {
			c.Close()
			panic("a closed port answers")
		}
	}
}

// unanswered connects, in a network of its own, to a listener whose queue is full: the SYN
// is dropped, and sent again after a second.
func unanswered(g *generator) {
	named("skep-unanswered", func() {
		g.check(unix.Unshare(unix.CLONE_NEWNET))
		loopbackUp(g)
		at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 7777}
		l := socket(g)
		g.check(unix.Bind(l, at))
		g.check(unix.Listen(l, 0)) // room for one
		g.check(unix.Connect(socket(g), at))
		for range 4 {
			fd := socket(g)
			g.check(unix.SetNonblock(fd, true))
			if err := unix.Connect(fd, at); err != unix.EINPROGRESS {
				panic(err)
			}
		}
		for end := time.Now().Add(time.Minute); g.Numbers["again"] < 4 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			g.Numbers["again"] = retransmitted(g)
		}
	})
}

func socket(g *generator) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	g.check(err)
	return fd
}

func loopbackUp(g *generator) {
	lo, err := unix.NewIfreq("lo")
	g.check(err)
	lo.SetUint16(unix.IFF_UP)
	g.check(unix.IoctlIfreq(socket(g), unix.SIOCSIFFLAGS, lo))
}

// retransmitted is RetransSegs of this thread's network.
func retransmitted(g *generator) int64 {
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	g.check(err)
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == "RetransSegs" {
				n, err := strconv.ParseInt(words[i], 10, 64)
				g.check(err)
				return n
			}
		}
	}
	panic("no RetransSegs")
}

func freePort(g *generator) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	g.check(err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitListener waits, without connecting, until somebody listens.
func awaitListener(g *generator, port int) {
	want := fmt.Sprintf("0100007F:%04X 00000000:0000 0A", port)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile("/proc/net/tcp")
		g.check(err)
		if strings.Contains(string(text), want) {
			return
		}
	}
	panic("nobody listens")
}
