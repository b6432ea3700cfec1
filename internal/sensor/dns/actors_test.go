// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// roleVariable makes the test binary play a client; its arguments say which.
const roleVariable = "SKEP_DNS_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "role:", err)
		os.Exit(3)
	}
}

// play is the client: "ask NETWORK ADDRESS" opens a socket of its own, "loose ..." does
// not connect it, "inherited" has it as descriptor 3. It sends one query and takes the
// answer.
func play(args []string) error {
	switch args[0] {
	case "ask":
		c, err := net.Dial(args[1], args[2])
		if err != nil {
			return err
		}
		return exchange(c, isTCP(args[1]))
	case "loose":
		return loose(args[1], args[2])
	case "inherited":
		c, err := net.FileConn(os.NewFile(3, "inherited"))
		if err != nil {
			return err
		}
		return exchange(c, isTCP(args[1]))
	}
	return fmt.Errorf("no role %s", args[0])
}

func isTCP(network string) bool { return strings.HasPrefix(network, "tcp") }

// What is asked and answered: bytes, of which the kernel side knows nothing.
const (
	question = "a question of some length"
	reply    = "and its answer"
)

func exchange(c net.Conn, tcp bool) error {
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	answer := make([]byte, len(reply))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != reply {
		return fmt.Errorf("answer %q", answer)
	}
	return c.Close()
}

// loose sends without connecting, as musl's resolver does.
func loose(network, address string) error {
	to, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return err
	}
	c, err := net.ListenUDP(network, nil)
	if err != nil {
		return err
	}
	if _, err := c.WriteTo([]byte(question), to); err != nil {
		return err
	}
	answer := make([]byte, 100)
	n, from, err := c.ReadFromUDPAddrPort(answer)
	if err != nil {
		return err
	}
	if string(answer[:n]) != reply || from.Port() != uint16(to.Port) {
		return fmt.Errorf("answer %q from %v", answer[:n], from)
	}
	return c.Close()
}

// client runs a role to its end and returns its process id.
func client(t *testing.T, inherited *os.File, args ...string) uint32 {
	t.Helper()
	c := exec.Command("/proc/self/exe", args...)
	c.Env, c.Stderr = append(os.Environ(), roleVariable+"=1"), os.Stderr
	if inherited != nil {
		c.ExtraFiles = []*os.File{inherited}
	}
	if err := c.Run(); err != nil {
		t.Fatalf("client %v: %v", args, err)
	}
	return uint32(c.Process.Pid)
}

// serve answers every question at an address until the test ends.
func serve(t testing.TB, network, address string) {
	t.Helper()
	if isTCP(network) {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					if _, err := io.ReadFull(c, make([]byte, len(question))); err == nil {
						io.WriteString(c, reply)
					}
					c.Close()
				}()
			}
		}()
		return
	}
	l, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for b := make([]byte, 1<<16); ; {
			_, from, err := l.ReadFrom(b)
			if err != nil {
				return
			}
			l.WriteTo([]byte(reply), from)
		}
	}()
}
