// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// serve FAMILY HOW ORDER [FAMILY]: listens; a worker accepts; a client, of another family if
// there is one, connects, and its child closes.
func serve(args []string) {
	family, how, order := args[0], args[1], args[2]
	l, port := listen(family, 5)
	say("master", os.Getpid())
	say("port", port)
	worker := begin("accept", []string{how, order}, l)
	if len(args) > 3 {
		family = args[3]
	}
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
	case "exit":
		return // the end of the process closes it
	}
	unix.Close(fd)
}

func client(args []string) {
	fd := connect(args[0], number(args[1]))
	say("client", os.Getpid())
	say("client_port", localPort(fd))
	if args[2] == "nothing" || args[2] == "exit" {
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
	full, port := fullListener()
	unix.Close(try("timeout", "ipv4", port, 0))
	full2, port := fullListener()
	unix.Close(try("cancelled", "ipv4", port, unix.SOCK_NONBLOCK))
	unix.Close(full)
	unix.Close(full2)
	// The same two ends twice: refused after SYN_SENT, with no packet.
	l, port = listen("ipv4", 5)
	_, to := address("ipv4", port)
	_, from := address("ipv4", 0)
	var fds [2]int
	for i := range fds {
		fds[i] = socket(unix.AF_INET, 0)
		check1(unix.SetsockoptInt(fds[i], unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		check1(unix.Bind(fds[i], from))
		from = must(unix.Getsockname(fds[i]))
	}
	check1(unix.Connect(fds[0], to))
	errno, _ := unix.Connect(fds[1], to).(unix.Errno)
	say("busy", port)
	say("busy_errno", int(errno))
	unix.Close(fds[1])
	s := accept(l, true)
	unix.Close(fds[0])
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
	check1(unix.Unshare(unix.CLONE_NEWNET)) // empty: no route to anywhere
	unix.Close(try("unreachable", "ipv4", 4242, 0))
	unix.Close(try("unreachable6", "ipv6", 4243, 0))
	twice := try("again", "ipv4", 4244, 0)
	_, sa := address("ipv4", 4244)
	unix.Connect(twice, sa)
	unix.Close(twice)
}

// fullListener's queue is full, so that it drops SYNs.
func fullListener() (fd, port int) {
	fd, port = listen("ipv4", 0)
	for range 3 {
		domain, sa := address("ipv4", port)
		unix.Connect(socket(domain, unix.SOCK_NONBLOCK), sa)
	}
	time.Sleep(20 * time.Millisecond)
	return fd, port
}

// endings NAME: one connection, ended in one way. The server's end is s.
func endings(args []string) {
	l, port := listen("ipv4", 5)
	say("port", port)
	c := connect("ipv4", port)
	var s int
	if args[0] != "unaccepted" && args[0] != "reset_early" {
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
	case "reset_early": // accepted all the same
		check1(unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		unix.Close(c)
		unix.Close(accept(l, true))
	case "big":
		go func() { write(s, 30_000_000); unix.Close(s) }()
		received = read(c, -1)
		unix.Close(c)
	}
	say("sent", sent)
	say("received", received)
}

// old FAMILY CLIENTS: a connection and a listener that are there before the sensor; a line on its input goes on.
func old(args []string) {
	family := args[1]
	say("pid", os.Getpid())
	l, port := listen(args[0], 5)
	say("port", port)
	c := connect(family, port)
	s := accept(l, true)
	queued := connect(family, port)
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
	c = connect(family, port)
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
