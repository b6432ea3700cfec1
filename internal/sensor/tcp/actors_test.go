// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The programs that the sensor watches are this test binary in other roles: it can
// do with sockets what few real programs do (accept without an address, pass
// descriptors), and the same tests run where there is nothing else, as in a
// virtual machine. Each says what it did on its output: that is the truth.

const roleVariable = "SKEP_TCP_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Unsetenv(roleVariable)
		runtime.LockOSThread()
		roles[role](os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

var roles map[string]func(args []string)

func init() {
	roles = map[string]func([]string){
		"serve": serve, "accept": acceptOne, "client": client, "finish": finish, "receive": receiveFD,
		"fail": fail, "endings": endings, "old": old, "many": many, "nonblocking": nonblocking, "hand": hand, "transfer": transfer,
	}
}

// said is what a role has said.
type said map[string]string

func (s said) number(t testing.TB, key string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s[key], 10, 64)
	if err != nil {
		t.Fatalf("role said %q for %s", s[key], key)
	}
	return n
}

func (s said) pid(t testing.TB, key string) uint32  { return uint32(s.number(t, key)) }
func (s said) port(t testing.TB, key string) uint16 { return uint16(s.number(t, key)) }

func parseSaid(text string) said {
	s := said{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			s[key] = value
		}
	}
	return s
}

func command(role string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	return c
}

// play runs a role to its end.
func play(t testing.TB, role string, args ...string) said {
	t.Helper()
	out, err := command(role, args...).Output()
	if err != nil {
		t.Fatalf("role %s: %v\n%s", role, err, out)
	}
	return parseSaid(string(out))
}

// What roles are made of; an error ends the role, which fails the test.

func say(key string, value any) { fmt.Printf("%s=%v\n", key, value) }

func must[T any](value T, err error) T {
	check1(err)
	return value
}

func check1(err error) {
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		_, file2, line2, _ := runtime.Caller(2)
		fmt.Fprintf(os.Stderr, "%s:%d %s:%d: %v\n", file, line, file2, line2, err)
		os.Exit(3)
	}
}

// begin starts a role with descriptors, as 3 and up; the function waits for it and repeats what it said.
func begin(role string, args []string, fds ...int) (wait func()) {
	c := command(role, args...)
	var out bytes.Buffer
	c.Stdout = &out
	for _, fd := range fds {
		c.ExtraFiles = append(c.ExtraFiles, os.NewFile(uintptr(must(unix.Dup(fd))), "inherited"))
	}
	check1(c.Start())
	for _, f := range c.ExtraFiles {
		f.Close()
	}
	return func() {
		check1(c.Wait())
		os.Stdout.Write(out.Bytes())
	}
}

// address of a family on the loopback interface: ipv4, ipv6, or mapped.
func address(family string, port int) (domain int, sa unix.Sockaddr) {
	switch family {
	case "ipv4":
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	case "ipv6":
		return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
	case "mapped":
		return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 255, 11: 255, 12: 127, 15: 1}}
	}
	panic("no family " + family)
}

func socket(domain, flags int) int {
	return must(unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0))
}

func listen(family string, backlog int) (fd, port int) {
	domain, sa := address(family, 0)
	if family == "mapped" {
		sa = &unix.SockaddrInet6{} // ::, for both
	}
	fd = socket(domain, 0)
	check1(unix.Bind(fd, sa))
	check1(unix.Listen(fd, backlog))
	return fd, localPort(fd)
}

func localPort(fd int) int {
	switch sa := must(unix.Getsockname(fd)).(type) {
	case *unix.SockaddrInet4:
		return sa.Port
	case *unix.SockaddrInet6:
		return sa.Port
	}
	return 0
}

func connect(family string, port int) int {
	domain, sa := address(family, port)
	fd := socket(domain, 0)
	check1(unix.Connect(fd, sa))
	return fd
}

// accept with or without asking for the address.
func accept(listener int, withAddress bool) int {
	if withAddress {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return must(fd, err)
	}
	fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		check1(errno)
	}
	return int(fd)
}

func write(fd, n int) int {
	for left := n; left > 0; {
		left -= must(unix.Write(fd, make([]byte, left)))
	}
	return n
}

// read takes n bytes, or all up to the end if n < 0.
func read(fd, n int) int {
	buffer := make([]byte, 1<<16)
	total := 0
	for n < 0 || total < n {
		k := must(unix.Read(fd, buffer))
		if k == 0 {
			break
		}
		total += k
	}
	return total
}

func number(text string) int { return must(strconv.Atoi(text)) }

// serve FAMILY HOW ORDER: listens; a worker accepts; a client connects, and its child closes.
func serve(args []string) {
	family, how, order := args[0], args[1], args[2]
	l, port := listen(family, 5)
	say("master", os.Getpid())
	say("port", port)
	worker := begin("accept", []string{how, order}, l)
	c := begin("client", []string{family, strconv.Itoa(port), order})
	c()
	worker()
	unix.Close(l)
}

func acceptOne(args []string) {
	fd := accept(3, args[0] == "address")
	say("worker", os.Getpid())
	switch args[1] {
	case "receive":
		say("worker_received", read(fd, 1000))
		say("worker_sent", write(fd, 5000))
	case "send":
		say("worker_sent", write(fd, 5000))
		say("worker_received", read(fd, 1000))
	case "nothing":
		say("worker_sent", 0)
		say("worker_received", 0)
	}
	unix.Close(fd)
}

func client(args []string) {
	fd := connect(args[0], number(args[1]))
	say("client", os.Getpid())
	say("client_port", localPort(fd))
	if args[2] == "nothing" {
		say("client_sent", 0)
	} else {
		say("client_sent", write(fd, 1000))
	}
	wait := begin("finish", nil, fd)
	unix.Close(fd)
	wait()
}

func finish([]string) {
	say("closer", os.Getpid())
	say("client_received", read(3, -1))
	unix.Close(3)
}

// hand: connects and accepts, and passes both descriptors to another process over a unix socket.
func hand([]string) {
	l, port := listen("ipv4", 5)
	say("master", os.Getpid())
	say("port", port)
	c := connect("ipv4", port)
	s := accept(l, true)
	pair := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	wait := begin("receive", nil, pair[1])
	check1(unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(c, s), nil, 0))
	unix.Close(c)
	unix.Close(s)
	wait()
	unix.Close(l)
}

func receiveFD([]string) {
	oob := make([]byte, 256)
	_, n, _, _, err := unix.Recvmsg(3, make([]byte, 1), oob, 0)
	check1(err)
	messages := must(unix.ParseSocketControlMessage(oob[:n]))
	fds := must(unix.ParseUnixRights(&messages[0]))
	write(fds[0], 10)
	read(fds[1], 10)
	write(fds[1], 20)
	read(fds[0], 20)
	unix.Close(fds[0])
	unix.Close(fds[1])
}

func nonblocking([]string) {
	l, port := listen("ipv4", 5)
	say("master", os.Getpid())
	say("port", port)
	domain, sa := address("ipv4", port)
	c := socket(domain, unix.SOCK_NONBLOCK)
	if err := unix.Connect(c, sa); err != unix.EINPROGRESS {
		say("connect", err) // loopback may be done at once
	}
	fds := []unix.PollFd{{Fd: int32(c), Events: unix.POLLOUT}}
	must(unix.Poll(fds, 1000))
	s := accept(l, true)
	write(c, 3)
	read(s, 3)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
}

// fail: connects that fail, each to a port of its own.
func fail([]string) {
	say("pid", os.Getpid())
	try := func(name, family string, port int, flags int) int {
		domain, sa := address(family, port)
		fd := socket(domain, flags)
		check1(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300))
		err := unix.Connect(fd, sa)
		say(name, port)
		errno, _ := err.(unix.Errno)
		say(name+"_errno", int(errno))
		return fd
	}
	l, port := listen("ipv4", 5)
	unix.Close(l)
	unix.Close(try("refused", "ipv4", port, 0))
	l, port = listen("ipv6", 5)
	unix.Close(l)
	unix.Close(try("refused6", "ipv6", port, 0))
	// A full queue drops SYNs.
	full, port := listen("ipv4", 0)
	for range 3 {
		domain, sa := address("ipv4", port)
		unix.Connect(socket(domain, unix.SOCK_NONBLOCK), sa)
	}
	time.Sleep(20 * time.Millisecond)
	unix.Close(try("timeout", "ipv4", port, 0))
	full2, port := listen("ipv4", 0)
	for range 3 {
		domain, sa := address("ipv4", port)
		unix.Connect(socket(domain, unix.SOCK_NONBLOCK), sa)
	}
	time.Sleep(20 * time.Millisecond)
	unix.Close(try("cancelled", "ipv4", port, unix.SOCK_NONBLOCK))
	unix.Close(full)
	unix.Close(full2)
	check1(unix.Unshare(unix.CLONE_NEWNET)) // empty: no route to anywhere
	unix.Close(try("unreachable", "ipv4", 4242, 0))
	unix.Close(try("unreachable6", "ipv6", 4243, 0))
	twice := try("again", "ipv4", 4244, 0)
	_, sa := address("ipv4", 4244)
	unix.Connect(twice, sa)
	unix.Close(twice)
}

// endings NAME: one connection, ended in one way. The server's end is s.
func endings(args []string) {
	l, port := listen("ipv4", 5)
	say("port", port)
	c := connect("ipv4", port)
	var s int
	if args[0] != "unaccepted" {
		s = accept(l, true)
	}
	sent, received := 0, 0 // of the client
	switch args[0] {
	case "local":
		sent = write(c, 10)
		unix.Close(c)
		read(s, -1)
		unix.Close(s)
	case "peer":
		unix.Close(s)
		read(c, -1)
		unix.Close(c)
	case "nothing": // not a byte either way
		unix.Close(c)
		unix.Close(s)
	case "half": // the server goes on after the client's FIN
		sent = write(c, 7)
		check1(unix.Shutdown(c, unix.SHUT_WR))
		read(s, -1)
		write(s, 100_000)
		unix.Close(s)
		received = read(c, -1)
		unix.Close(c)
	case "unread": // close over unread data sends RST
		write(s, 500)
		time.Sleep(20 * time.Millisecond)
		received = 500
		unix.Close(c)
		unix.Close(s)
	case "half_unread": // the same after a FIN of its own
		check1(unix.Shutdown(c, unix.SHUT_WR))
		read(s, -1)
		write(s, 500)
		time.Sleep(20 * time.Millisecond)
		received = 500
		unix.Close(c)
		unix.Close(s)
	case "linger":
		sent = write(c, 33)
		read(s, 33)
		check1(unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		unix.Close(c)
		unix.Close(s)
	case "unaccepted":
		sent = write(c, 5)
		time.Sleep(20 * time.Millisecond)
		unix.Close(l)
		unix.Close(c)
	case "big":
		go func() { write(s, 30_000_000); unix.Close(s) }()
		received = read(c, -1)
		unix.Close(c)
	}
	say("sent", sent)
	say("received", received)
}

// old: a connection and a listener that are there before the sensor; a line on its input goes on.
func old([]string) {
	say("pid", os.Getpid())
	l, port := listen("ipv4", 5)
	say("port", port)
	c := connect("ipv4", port)
	s := accept(l, true)
	queued := connect("ipv4", port)
	write(c, 11)
	read(s, 11)
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
	write(s, 22)
	read(c, 22)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	// In the old listener's queue since before, and a new one.
	q := accept(l, true)
	unix.Close(queued)
	read(q, -1)
	unix.Close(q)
	c = connect("ipv4", port)
	s = accept(l, true)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
}

const transferBytes = 3_000_000

// transfer: from server to client, over a bad line; a line on its input goes on to the close.
func transfer([]string) {
	l, port := listen("ipv4", 5)
	say("port", port)
	c := connect("ipv4", port)
	s := accept(l, true)
	go write(s, transferBytes)
	read(c, transferBytes)
	time.Sleep(300 * time.Millisecond) // for what is still on its way
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
	unix.Close(s)
	read(c, -1)
	unix.Close(c)
}

// loopbackUp starts the interface in a new network namespace.
func loopbackUp() {
	request := must(unix.NewIfreq("lo"))
	request.SetUint16(unix.IFF_UP)
	check1(unix.IoctlIfreq(socket(unix.AF_INET, 0), unix.SIOCSIFFLAGS, request))
}

// many N CLIENTS: in a new network namespace, N times connect, request, reply, close, by several threads at once.
func many(args []string) {
	n, clients := number(args[0]), number(args[1])
	loopbackUp()
	l, port := listen("ipv4", 512)
	say("port", port)
	done := make(chan int)
	for range clients {
		go func() {
			total := 0
			for i := range n / clients {
				c := connect("ipv4", port)
				write(c, 100+i%7)
				total += read(c, -1)
				unix.Close(c)
			}
			done <- total
		}()
		go func() {
			for i := 0; i < n/clients; i++ {
				s := accept(l, i%2 == 0)
				read(s, 100)
				write(s, 1000)
				check1(unix.Shutdown(s, unix.SHUT_WR))
				read(s, -1)
				unix.Close(s)
			}
		}()
	}
	received := 0
	for range clients {
		received += <-done
	}
	say("received", received)
	time.Sleep(50 * time.Millisecond)
}
