// SPDX-License-Identifier: Apache-2.0

// Command probe is the only program of the test image: each subcommand does
// one thing that a sensor must see. It prints what it did, so that a test has
// a second source.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("usage: probe sleep SECONDS | exit CODE | exec PROGRAM ARG... | fork PROGRAM ARG... |" +
			" connect ADDR | listen ADDR | seq PROGRAM ARG... [-- PROGRAM ARG...]... | cgroup"))
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "probe:", err)
	os.Exit(125)
}

func run(verb string, args []string) error {
	if len(args) == 0 && verb != "cgroup" {
		return fmt.Errorf("%s: wants an argument", verb)
	}
	switch verb {
	case "sleep":
		return sleep(args[0])
	case "exit":
		return exit(args[0])
	case "exec":
		return syscall.Exec(args[0], args, os.Environ())
	case "fork":
		return fork(args)
	case "connect":
		return connect(args[0])
	case "listen":
		return listen(args[0])
	case "seq":
		return sequence(args)
	case "cgroup":
		data, err := os.ReadFile("/proc/self/cgroup")
		fmt.Print(string(data))
		return err
	}
	return fmt.Errorf("%s: no such verb", verb)
}

func sleep(seconds string) error {
	s, err := strconv.ParseFloat(seconds, 64)
	time.Sleep(time.Duration(s * float64(time.Second)))
	return err
}

func exit(code string) error {
	n, err := strconv.Atoi(code)
	if err == nil {
		os.Exit(n)
	}
	return err
}

// fork runs a child, prints its pid in this pid namespace, and takes its exit code.
func fork(args []string) error {
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	fmt.Println("child", c.Process.Pid)
	err := c.Wait()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		os.Exit(e.ExitCode())
	}
	return err
}

// sequence forks one child after the other.
func sequence(args []string) error {
	var one []string
	for _, a := range append(args, "--") {
		if a != "--" {
			one = append(one, a)
			continue
		}
		c := exec.Command(one[0], one[1:]...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("%q: %w", one, err)
		}
		one = nil
	}
	return nil
}

// connect sends "ping" and reads until the other end closes.
func connect(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "ping"); err != nil {
		return err
	}
	got, err := io.ReadAll(c)
	fmt.Printf("%s %s %q\n", c.LocalAddr(), c.RemoteAddr(), got)
	return err
}

// listen answers every connection's four bytes with "pong".
func listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err == nil {
			_, _ = io.WriteString(c, "pong")
		}
		c.Close()
	}
}
