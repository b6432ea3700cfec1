// SPDX-License-Identifier: Apache-2.0

// Command guest measures in a guest of the kernel matrix, whose clock counts instructions,
// what the file sensor costs an open and close of a path that is not watched, where it stands
// on hooks that this host may not have (fentry). The same with empty programs at the same
// places is the floor: go run ./test/bench/guest -kernel 6.12
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/vm"
)

func main() {
	kernel := flag.String("kernel", "6.12", "kernel of the matrix")
	inside := flag.Bool("inside", false, "measure here, which a guest does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := func() error { return boot(ctx, *kernel) }
	if *inside {
		run = func() error { return measure(ctx) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

// boot runs this program and an agent in a guest.
func boot(ctx context.Context, name string) error {
	k, err := vm.Lookup(name)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "skep-guest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := map[string]string{}
	for path, pkg := range map[string]string{"/bin/guest": "./test/bench/guest", "/bin/skepd": "./cmd/skepd"} {
		files[path] = filepath.Join(dir, filepath.Base(path))
		c := exec.CommandContext(ctx, "go", "build", "-o", files[path], pkg)
		c.Env, c.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("build %s: %w", pkg, err)
		}
	}
	result, err := vm.Run(ctx, k, vm.Guest{Files: files, Commands: [][]string{{"/bin/guest", "-inside"}}, ICount: true, Timeout: 10 * time.Minute})
	if err != nil {
		return err
	}
	fmt.Printf("Linux %s, instructions of one openat and close of a file that is not watched\n%s", result.Release, result.Commands[0].Output)
	if code := result.Commands[0].ExitCode; code != 0 {
		return fmt.Errorf("the guest's measurement ended with %d", code)
	}
	return nil
}

// access is a way to open a file.
type access struct {
	name  string
	flags int
}

var accesses = []access{{"reading", unix.O_RDONLY}, {"writing", unix.O_WRONLY}}

// measure prints for each access what it costs as it is, with empty programs, and with the agent.
func measure(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "opens")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "a/b/c/file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.MkdirAll(filepath.Join(dir, "watched"), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
		return err
	}
	bare, err := opens(path)
	if err != nil {
		return err
	}
	detach, err := empty()
	if err != nil {
		return err
	}
	floor, err := opens(path)
	if err = errors.Join(err, detach()); err != nil {
		return err
	}
	with, err := watched(ctx, dir, path)
	if err != nil {
		return err
	}
	for i, a := range accesses {
		fmt.Printf("%s: alone %.0f, with empty programs at both places %.0f, with the sensor %.0f: %.0f more than the empty ones, which take %.0f: ratio %.1f\n",
			a.name, bare[i], floor[i], with[i], with[i]-floor[i], floor[i]-bare[i], (with[i]-bare[i])/(floor[i]-bare[i]))
	}
	return nil
}

// opens is what one openat and close cost, for each access: the least of several blocks, since
// what else the guest does only adds.
func opens(path string) (costs []float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const count, blocks = 400, 20
	for _, a := range accesses {
		least := time.Hour
		for range blocks {
			start := time.Now()
			for range count {
				fd, err := unix.Openat(unix.AT_FDCWD, path, a.flags, 0)
				if err != nil {
					return nil, err
				}
				unix.Close(fd)
			}
			least = min(least, time.Since(start))
		}
		costs = append(costs, float64(least.Nanoseconds())/count)
	}
	return costs, nil
}

// empty attaches programs that do nothing to where the sensor's are.
func empty() (detach func() error, err error) {
	var links []link.Link
	detach = func() error {
		for _, l := range links {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	for _, at := range []struct {
		kind ebpf.AttachType
		to   string
	}{{ebpf.AttachTraceFEntry, "security_file_open"}, {ebpf.AttachTraceRawTp, "sys_exit"}} {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: at.kind, AttachTo: at.to, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load an empty program for %s: %w", at.to, err), detach())
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		program.Close()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach an empty program to %s: %w", at.to, err), detach())
		}
		links = append(links, l)
	}
	return detach, nil
}

// watched measures beside an agent whose only sensor that looks at opens is the one of files.
func watched(ctx context.Context, dir, path string) (costs []float64, err error) {
	socket, config := filepath.Join(dir, "sock"), filepath.Join(dir, "skep.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "sensors: {files: {paths: [%s/watched]}}\n", dir), 0o600); err != nil {
		return nil, err
	}
	agent := exec.CommandContext(ctx, "/bin/skepd", "run", "--private", "--config", config, "--socket", socket, "--data-dir", filepath.Join(dir, "data"))
	agent.Stderr = os.Stderr
	if err := skepdtest.Launch(agent); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, agent.Process.Signal(os.Interrupt), agent.Wait()) }()
	time.Sleep(2 * time.Second) // it reads what is on the host
	return opens(path)
}
