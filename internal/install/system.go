// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/config"
)

// SystemdRuns tells whether systemd is this host's service manager (sd_booted(3)).
func SystemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// run runs a program; what it says is the error's text if it fails.
func run(argv ...string) error {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// command is a program to run. Its effect is not taken back.
type command struct{ argv []string }

func systemctl(args ...string) *command {
	return &command{append([]string{"systemctl"}, args...)}
}

func (c *command) String() string { return strings.Join(c.argv, " ") }
func (c *command) do() error      { return run(c.argv...) }
func (c *command) undo() error    { return nil }

// enabled is a unit that is started at each boot from now on.
type enabled struct {
	unit string
	made bool
}

func (e *enabled) String() string { return "systemctl enable " + e.unit }

func (e *enabled) do() error {
	e.made = exec.Command("systemctl", "is-enabled", "--quiet", e.unit).Run() != nil
	return run("systemctl", "enable", e.unit)
}

func (e *enabled) undo() error {
	if !e.made {
		return nil
	}
	return run("systemctl", "disable", e.unit)
}

// stopped is a unit that is stopped and not started again; one that is not there is.
type stopped struct{ unit string }

func disable(unit string) *stopped { return &stopped{unit} }

func (s *stopped) String() string { return "systemctl disable --now " + s.unit }

func (s *stopped) do() error {
	if exec.Command("systemctl", "cat", s.unit).Run() != nil {
		return nil
	}
	return run("systemctl", "disable", "--now", s.unit)
}

func (s *stopped) undo() error { return nil }

// group is a system group, made if it is not there.
type group struct {
	name string
	made bool
}

func (g *group) String() string { return "make group " + g.name + ", unless it is there" }

func (g *group) do() error {
	if _, err := osuser.LookupGroup(g.name); err == nil {
		return nil
	}
	g.made = true
	return either([]string{"groupadd", "--system", g.name}, []string{"addgroup", "-S", g.name})
}

func (g *group) undo() error {
	if !g.made {
		return nil
	}
	return (&account{"group", g.name}).do()
}

// user is a system user with a group of its own and nothing else.
type user struct {
	name string
	made bool
}

func (u *user) String() string { return "make user " + u.name + ", unless it is there" }

func (u *user) do() error {
	if _, err := osuser.Lookup(u.name); err == nil {
		return nil
	}
	u.made = true
	own := "--user-group"
	if _, err := osuser.LookupGroup(u.name); err == nil { // left by a userdel that leaves it: see account
		own = "--gid=" + u.name
	}
	return either(
		[]string{"useradd", "--system", own, "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", u.name},
		[]string{"adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", u.name},
	)
}

func (u *user) undo() error {
	if !u.made {
		return nil
	}
	return (&account{"user", u.name}).do()
}

// account is a user, with the group of its own, or a group to be removed. Not every host's
// userdel removes that too: it is up to USERGROUPS_ENAB in /etc/login.defs.
type account struct{ kind, name string }

func (a *account) String() string { return "remove " + a.kind + " " + a.name }

func (a *account) do() error {
	if _, err := osuser.Lookup(a.name); err == nil && a.kind == "user" {
		if err := either([]string{"userdel", a.name}, []string{"deluser", a.name}); err != nil {
			return err
		}
	}
	if _, err := osuser.LookupGroup(a.name); err != nil {
		return nil // as wanted
	}
	return either([]string{"groupdel", a.name}, []string{"delgroup", a.name})
}

func (a *account) undo() error { return nil }

// either runs the first of some commands whose program is there: shadow's, or busybox's.
func either(commands ...[]string) error {
	for _, c := range commands {
		if _, err := exec.LookPath(c[0]); err == nil {
			return run(c...)
		}
	}
	return fmt.Errorf("%s: no such program; install it, or make and remove accounts by hand", commands[0][0])
}

// kernelSide is what outlives an agent in the kernel. It is removed by the skepd that
// is about to be removed itself.
type kernelSide struct {
	skepd    string
	config   config.Config
	defaults bool
}

func (k *kernelSide) String() string {
	return "remove programs, links and maps: " + k.skepd + " remove"
}

func (k *kernelSide) do() error {
	if _, err := os.Stat(k.skepd); err != nil {
		return nil
	}
	if conn, err := net.DialTimeout("unix", k.config.Socket, time.Second); err == nil {
		conn.Close()
		return errors.New("remove the kernel side: an agent still answers at " + k.config.Socket + "; stop it first")
	}
	if k.defaults {
		return run(k.skepd, "remove", "--config", "/dev/null")
	}
	return run(k.skepd, "remove")
}

func (k *kernelSide) undo() error { return nil }
