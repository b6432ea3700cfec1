// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Guest says what runs in a virtual machine.
type Guest struct {
	// Files maps a path in the guest to a file of the host, which must be static if it is to run.
	Files map[string]string
	// Commands run one after another, also after one failed. The first word is looked up in PATH.
	Commands [][]string
	// Env holds NAME=value for all commands.
	Env []string
	// Timeout ends a guest that hangs. Default: 5 minutes.
	Timeout time.Duration
	// ICount makes the guest's clock count instructions on one CPU: costs become repeatable, running becomes slower.
	ICount bool
	// MemMiB is the guest's memory, which also holds Files. Default: 1024.
	MemMiB int
	// CgroupV1 mounts v1 systemd, pids and (where the kernel has it) memory beside cgroup2, which is at
	// /sys/fs/cgroup/unified then; default is cgroup2 alone at /sys/fs/cgroup.
	CgroupV1 bool
	// Systemd, which AddSystemd puts into Files, becomes process 1. Setup runs before it is started, Commands in a
	// service when the system is up.
	Systemd bool
	Setup   [][]string
	// Ended, if set, is called when a command has ended, with its index and how long it took by the host's clock.
	Ended func(command int, took time.Duration)
	// Output, if set, receives the console and the commands' output while the guest runs.
	Output io.Writer
}

// Result is what a guest did.
type Result struct {
	Release  string
	Commands []CommandResult
	// Console holds the kernel's messages.
	Console string
	// Boot is the time from starting QEMU to the first command, Total that to the end of QEMU.
	Boot, Total time.Duration
}

// ErrGuest is wrapped by errors about a guest that did not come to its end: a panic, a hang, a power-off too early.
var ErrGuest = errors.New("guest failed")

// Run boots the kernel, runs the guest's commands and waits for it to power off. A command that fails is no error.
// With ErrGuest the Result holds what arrived before.
func Run(ctx context.Context, k Kernel, g Guest) (Result, error) {
	image, err := Fetch(ctx, k)
	if err != nil {
		return Result{}, err
	}
	g = withDefaults(g)
	dir, err := os.MkdirTemp("", "skep-vm-")
	if err != nil {
		return Result{}, fmt.Errorf("run guest %s: %w", k.Name, err)
	}
	defer os.RemoveAll(dir)
	nonce := rand.Text()
	initrd := filepath.Join(dir, "initrd")
	if err := buildInitramfs(initrd, image, g, nonce); err != nil {
		return Result{}, fmt.Errorf("run guest %s: %w", k.Name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.Timeout, fmt.Errorf("no end after %v: the guest hangs, or needs a longer timeout", g.Timeout))
	defer cancel()
	result := Result{Release: image.Release}
	machine := machine{kernel: k, image: image, guest: g, initrd: initrd, mark: marker(nonce) + " ", marked: g.clock(&result.Boot)}
	ports, errQEMU := machine.run(ctx)
	t := parseTranscript(ports.output, nonce, g.Commands)
	result.Commands, result.Console, result.Total = t.commands, ports.console, ports.total
	return result, judge(k, t, ports, errQEMU)
}

// clock takes the times from the marked lines.
func (g Guest) clock(boot *time.Duration) func(line string, at time.Duration) {
	var begun time.Duration
	return func(line string, at time.Duration) {
		var command, code int
		switch verb, rest, _ := strings.Cut(line, " "); verb {
		case "ready":
			*boot = at
		case "start":
			begun = at
		case "exit":
			if _, err := fmt.Sscanf(rest, "%d %d", &command, &code); err == nil && g.Ended != nil {
				g.Ended(command, at-begun)
			}
		}
	}
}

func withDefaults(g Guest) Guest {
	if g.Timeout == 0 {
		g.Timeout = 5 * time.Minute
	}
	if g.MemMiB == 0 {
		g.MemMiB = 1024
	}
	return g
}

func buildInitramfs(name string, image *Image, g Guest, nonce string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(writeInitramfs(f, image, g, nonce), f.Close())
}

// judge turns a guest that did not say "done" into an error that names the most telling reason.
func judge(k Kernel, t transcript, p ports, errQEMU error) error {
	if t.done && errQEMU == nil {
		return nil
	}
	reason := "powered off before its last command ended"
	panicLine := findPanic(p.console)
	switch {
	case panicLine != "":
		reason = strings.TrimSpace(panicLine + " " + findOops(p.console))
	case t.fatal != "":
		reason = "init: " + t.fatal
	case errQEMU != nil:
		reason = errQEMU.Error()
	case !t.ready:
		reason = "powered off before init was ready"
	}
	return fmt.Errorf("run guest %s: %w: %s%s\nend of console:\n%s", k.Name, ErrGuest, reason, during(t), tail(p.console, 40))
}

// during says which command was running.
func during(t transcript) string {
	if !t.ready {
		return " (during boot)"
	}
	for _, c := range t.commands {
		if !c.Finished {
			return fmt.Sprintf(" (during %q)", c.Args)
		}
	}
	return ""
}

var oops = regexp.MustCompile(`(?m)^\[ *\d+\.\d+\] ((?:BUG: |Oops: |int3: |general protection fault|invalid opcode: ).*)$`)

// findOops returns what the kernel says of its first fault, which led to the panic.
func findOops(console string) string {
	if m := oops.FindStringSubmatch(console); m != nil {
		return "(" + strings.TrimSpace(m[1]) + ")"
	}
	return ""
}

// findPanic returns the line that says why the kernel gave up.
func findPanic(console string) string {
	for line := range strings.Lines(console) {
		if at := strings.Index(line, "Kernel panic - not syncing"); at >= 0 {
			return strings.TrimSpace(line[at:])
		}
	}
	return ""
}
