// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// roleVariable makes the test binary play another process; its arguments say which.
const roleVariable = "SKEP_UDP_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "role:", err)
		os.Exit(3)
	}
}

// play: "connected NETWORK ADDRESS" and "loose NETWORK ADDRESS" talk with an echo; "receive N",
// "receive_from N" and "answer N" do so with as many datagrams at descriptor 3.
func play(args []string) error {
	switch args[0] {
	case "connected":
		c, err := net.Dial(args[1], args[2])
		if err != nil {
			return err
		}
		defer c.Close()
		return talk(func(b []byte) error { _, err := c.Write(b); return err }, c.Read)
	case "loose":
		to, err := net.ResolveUDPAddr(args[1], args[2])
		if err != nil {
			return err
		}
		c, err := net.ListenUDP(args[1], nil)
		if err != nil {
			return err
		}
		defer c.Close()
		return talk(func(b []byte) error { _, err := c.WriteTo(b, to); return err }, c.Read)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return serve(args[0], n)
}

func serve(role string, n int) error {
	buffer := make([]byte, 100)
	for range n {
		if role == "receive" {
			if _, err := unix.Read(3, buffer); err != nil {
				return err
			}
			continue
		}
		_, from, err := unix.Recvfrom(3, buffer, 0)
		if err != nil {
			return err
		}
		if role == "answer" {
			if err := unix.Sendto(3, []byte("answer"), 0, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// sizes of what is sent; what comes back is as long, and once more.
var sizes = []int{0, 1, 100, 1400, 9000}

const bytesOfSizes = 0 + 1 + 100 + 1400 + 9000

func talk(send func([]byte) error, receive func([]byte) (int, error)) error {
	buffer := make([]byte, 1<<16)
	for _, size := range sizes {
		if err := send(buffer[:size]); err != nil {
			return err
		}
		for range 2 {
			if n, err := receive(buffer); err != nil || n != size {
				return fmt.Errorf("echo of %d bytes has %d: %v", size, n, err)
			}
		}
	}
	return nil
}

// child runs a role to its end and returns its process id.
func child(t *testing.T, inherited *os.File, args ...string) uint32 {
	t.Helper()
	wait := begin(t, inherited, args...)
	return wait()
}

// begin starts a role; what it returns waits for its end and returns its process id.
func begin(t *testing.T, inherited *os.File, args ...string) (wait func() uint32) {
	t.Helper()
	c := exec.Command("/proc/self/exe", args...)
	c.Env, c.Stderr = append(os.Environ(), roleVariable+"=1"), os.Stderr
	if inherited != nil {
		c.ExtraFiles = []*os.File{inherited}
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return func() uint32 {
		t.Helper()
		if err := c.Wait(); err != nil {
			t.Fatalf("child %v: %v", args, err)
		}
		return uint32(c.Process.Pid)
	}
}

// echo answers each datagram twice until the test ends, and returns its address.
func echo(t *testing.T, network, address string) *net.UDPAddr {
	t.Helper()
	l, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for b := make([]byte, 1<<16); ; {
			n, from, err := l.ReadFrom(b)
			if err != nil {
				return
			}
			l.WriteTo(b[:n], from)
			l.WriteTo(b[:n], from)
		}
	}()
	return l.LocalAddr().(*net.UDPAddr)
}

// socket is one that nobody has bound yet, as a descriptor.
func socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

var loopback = [4]byte{127, 0, 0, 1}

// bound is a socket bound to a port of its own, and its address.
func bound(t *testing.T) (int, *unix.SockaddrInet4) {
	t.Helper()
	fd := socket(t)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name.(*unix.SockaddrInet4)
}

func send(t *testing.T, fd int, to *unix.SockaddrInet4, text string) {
	t.Helper()
	if err := unix.Sendto(fd, []byte(text), 0, to); err != nil {
		t.Fatal(err)
	}
}
