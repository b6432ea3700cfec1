// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	traceRounds      = 11
	readyRounds      = 15
	scriptsAtOnce    = 10
	traceProbe       = "tracepoint:syscalls:sys_enter_getsid"
	up               = ` interval:ms:20 { printf("up\n"); }` // attached last: from then on all is
	upAtOnce         = ` interval:ms:1 { printf("up\n"); }`
	readyProgram     = "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }"
	pacedPerBurst    = 500
	pacedBetween     = 10 * time.Millisecond
	traceRoundsLeast = 3
	hostSocket       = "/run/skep/skep.sock"
	tracefsEvents    = "/sys/kernel/tracing/events"
)

// tracePrograms are what is put on a system call that only the workload makes. They have the
// same names in bpftrace's language.
var tracePrograms = []struct{ name, text, workload string }{
	{"empty", traceProbe + " { }" + up, "getsid"},
	{"count", traceProbe + " { @[comm] = count(); }" + up, "getsid"},
	{"stream", traceProbe + ` { printf("%d %s\n", pid, comm); }` + up, "paced"},
}

// tracer is a program that runs scripts.
type tracer struct {
	name, path string
	args       []string
}

func (b *bench) skepTracer(socket string) tracer {
	return tracer{"skep", filepath.Join(b.bin, "skep"), []string{"--socket", socket, "trace"}}
}

// measureTrace is promises 2 and 3 of the tracing language: soon ready, little memory, cheap events.
func measureTrace(ctx context.Context, b *bench) ([]result, error) {
	if _, err := os.Stat(hostSocket); err == nil {
		return nil, fmt.Errorf("%s is there: an agent of this host would be asked where a private one is to be measured; "+
			"stop it, or hide it: unshare -m sh -c 'mount -t tmpfs none /run && exec bench ...'", hostSocket)
	}
	if _, err := os.Stat(tracefsEvents); err != nil && b.bpftrace != "" {
		return nil, fmt.Errorf("bpftrace needs tracefs: mount -t tracefs none /sys/kernel/tracing: %w", err)
	}
	a, err := b.startAgent(ctx, "--private")
	if err != nil {
		return nil, err
	}
	results, err := b.traceAll(ctx, a)
	return results, errors.Join(err, a.stop())
}

func (b *bench) traceAll(ctx context.Context, a *agent) ([]result, error) {
	tracers := []tracer{b.skepTracer(a.socket)}
	if b.bpftrace != "" {
		tracers = append(tracers, tracer{"bpftrace", b.bpftrace, []string{"-B", "line"}})
	}
	results, err := b.readyTimes(ctx, tracers)
	if err != nil {
		return results, err
	}
	memory, err := b.traceMemory(ctx, a)
	results = append(results, memory...)
	if err != nil {
		return results, err
	}
	costs, err := b.traceCosts(ctx, tracers)
	return append(results, costs...), err
}

// readyTimes are from starting the program until it says that all is attached, and until it
// has told of the first event, which bpftrace is compared by: it speaks before it attaches.
func (b *bench) readyTimes(ctx context.Context, tracers []tracer) ([]result, error) {
	rounds := max(readyRounds/b.scale, traceRoundsLeast)
	direct := tracer{"skep", filepath.Join(b.bin, "skep"), []string{"trace"}}
	attached, without, first := []float64{}, []float64{}, map[string][]float64{}
	for range rounds {
		for to, t := range map[*[]float64]tracer{&attached: tracers[0], &without: direct} {
			took, err := b.untilLine(ctx, t, readyProgram, "Attaching ")
			if err != nil {
				return nil, err
			}
			*to = append(*to, took)
		}
		for _, t := range tracers {
			took, err := b.untilLine(ctx, t, readyProgram+upAtOnce, "up")
			if err != nil {
				return nil, err
			}
			first[t.name] = append(first[t.name], took)
		}
	}
	note := fmt.Sprintf("median of %d", rounds)
	results := []result{
		{what: "script attached, through a running agent", value: median(attached), unit: "ms", limit: 30, note: note},
		{what: "script attached, without an agent", value: median(without), unit: "ms", limit: 100, note: note + "; a private agent without sensors"},
		{what: "script's first event shown, through a running agent", value: median(first["skep"]), unit: "ms", limit: -1, note: note + "; of a timer of 1 ms that is attached last"},
	}
	if peer := first["bpftrace"]; len(peer) > 0 {
		results = append(results, result{what: "bpftrace's first event shown, over skep's", value: median(peer) / median(first["skep"]), unit: "times",
			limit: 5, least: true, note: fmt.Sprintf("%s; bpftrace %.0f ms", note, median(peer))})
	}
	return results, nil
}

// untilLine is the milliseconds until a program has written a line that begins so.
func (b *bench) untilLine(ctx context.Context, t tracer, text, line string) (float64, error) {
	began := time.Now()
	r, err := t.start(ctx, text, line)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	return float64(took.Microseconds()) / 1000, r.stop()
}

// traced is a program that runs a script.
type traced struct {
	command *exec.Cmd
	done    chan struct{}
	errors  strings.Builder
}

// start returns once the program has written a line that begins so.
func (t tracer) start(ctx context.Context, text, line string) (*traced, error) {
	r := &traced{command: exec.CommandContext(ctx, t.path, append(t.args, "-e", text)...), done: make(chan struct{})}
	r.command.Stderr = &r.errors
	out, err := r.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.command.Start(); err != nil {
		return nil, err
	}
	seen := make(chan bool, 1)
	go func() {
		defer close(r.done)
		in := bufio.NewReader(out)
		for {
			got, err := in.ReadString('\n')
			if err != nil {
				seen <- false
				return
			}
			if strings.HasPrefix(got, line) {
				break
			}
		}
		seen <- true
		_, _ = io.Copy(io.Discard, in)
	}()
	if !<-seen {
		err := r.command.Wait()
		return nil, fmt.Errorf("%s %q: no line %q: %w: %s", t.name, text, line, err, r.errors.String())
	}
	return r, nil
}

func (r *traced) stop() error {
	_ = r.command.Process.Signal(syscall.SIGINT)
	<-r.done
	var status *exec.ExitError
	if err := r.command.Wait(); err != nil && !errors.As(err, &status) {
		return err
	}
	return nil
}

// traceMemory is what each of ten scripts takes: how much the agent grows, with the maps in the
// kernel, and what the client has for itself.
func (b *bench) traceMemory(ctx context.Context, a *agent) (results []result, err error) {
	t := b.skepTracer(a.socket)
	first, err := t.start(ctx, readyProgram, "Attaching ") // what the agent keeps for all
	if err != nil {
		return nil, err
	}
	if err := first.stop(); err != nil {
		return nil, err
	}
	before, err := private(a.command.Process.Pid)
	if err != nil {
		return nil, err
	}
	var clients []float64
	var all []*traced
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.stop())
		}
	}()
	for range scriptsAtOnce {
		r, err := t.start(ctx, readyProgram, "Attaching ")
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	for _, r := range all {
		n, err := private(r.command.Process.Pid)
		if err != nil {
			return nil, err
		}
		clients = append(clients, n)
	}
	after, err := private(a.command.Process.Pid)
	if err != nil {
		return nil, err
	}
	grown := max(after-before, 0) / scriptsAtOnce
	return []result{{what: "agent and client, more for each script", value: grown + median(clients), unit: "MiB", limit: 5,
		note: fmt.Sprintf("of %d at once; agent %.1f, client %.1f, memory that no other process shares", scriptsAtOnce, grown, median(clients))}}, nil
}

// private is the memory in MiB that a process shares with no other.
func private(pid int) (float64, error) {
	process, err := os.FindProcess(pid) // never fails on Unix
	if err != nil {
		return 0, err
	}
	a := agent{command: &exec.Cmd{Process: process}}
	bytes, err := a.kib("smaps_rollup", func(line string) bool {
		return strings.HasPrefix(line, "Private_Clean:") || strings.HasPrefix(line, "Private_Dirty:")
	})
	return float64(bytes) / (1 << 20), err
}
