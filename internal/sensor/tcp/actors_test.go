// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

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
		"elsewhere": elsewhere, "inflight": inflight, "several": several,
		"paths": paths, "stuffed": stuffed, "exchange": exchange, "listeners": listeners, "crowd": crowd,
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

// multipath before the name of a family means MPTCP, which is what Go's net.Listen asks for.
const multipath = "mptcp-"

// address of a family on the loopback interface: ipv4, ipv6, or mapped.
func address(family string, port int) (domain int, sa unix.Sockaddr) {
	switch strings.TrimPrefix(family, multipath) {
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

func socketOf(family string) int {
	domain, _ := address(family, 0)
	protocol := unix.IPPROTO_TCP
	if strings.HasPrefix(family, multipath) {
		protocol = unix.IPPROTO_MPTCP
	}
	return must(unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol))
}

func listen(family string, backlog int) (fd, port int) {
	_, sa := address(family, 0)
	if strings.HasSuffix(family, "mapped") {
		sa = &unix.SockaddrInet6{} // ::, for both
	}
	fd = socketOf(family)
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
	_, sa := address(family, port)
	fd := socketOf(family)
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
