// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// done is the stage's answer when an order was carried out; any other is the reason why not.
const done = "done"

// inside is the stage as its own process sees it.
type inside struct {
	self string // the binary
	dir  string // on a file system of our own
}

// Main is the process of the stage, or with an act one of a scene's programs. It returns
// when the stage's standard input ends.
func Main(dir string, act []string, orders io.Reader, answers io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s := &inside{self: self, dir: dir}
	if len(act) > 0 {
		return s.act(act)
	}
	if os.Getpid() != 1 { // else the host's mounts and network would be changed
		return errors.New("be the stage of the demo: it is started by skep demo, in namespaces of its own")
	}
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		answer := done
		if err := s.obey(lines.Text()); err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		if _, err := io.WriteString(answers, answer+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func (s *inside) obey(order string) error {
	if order == "begin" {
		return s.begin()
	}
	for _, scene := range Scenes() {
		if scene.Name == order {
			return scene.play(s)
		}
	}
	return fmt.Errorf("no scene is called %q", order)
}

// begin makes the world that the scenes need.
func (s *inside) begin() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("skep-demo", s.dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", s.dir, err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switch core files off: %w", err)
	}
	if err := network(); err != nil {
		return err
	}
	return serve()
}

// network brings the loopback device up, with the addresses of those who are talked to.
func network() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("configure the loopback device: %w", err)
	}
	defer unix.Close(fd)
	for i, address := range []string{"127.0.0.1", own, attacker, pool, nameServer} {
		device := "lo"
		if i > 0 {
			device = fmt.Sprintf("lo:%d", i)
		}
		if err := setAddress(fd, device, address); err != nil {
			return fmt.Errorf("configure %s with %s: %w", device, address, err)
		}
	}
	return nil
}

func setAddress(fd int, device, address string) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr(net.ParseIP(address).To4()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, request); err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// program is a command that runs an act of ours under a name of its own.
func (s *inside) program(name string, act ...string) (*exec.Cmd, error) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount(s.self, path, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("bind %s: %w", path, err)
	}
	return exec.Command(path, append([]string{Verb, s.dir}, act...)...), nil
}

// run runs an act under a name and returns how it ended.
func (s *inside) run(name string, act ...string) error {
	c, err := s.program(name, act...)
	if err != nil {
		return err
	}
	c.Stderr = os.Stderr
	return c.Run()
}
