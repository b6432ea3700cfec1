// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

const (
	execTotal  = 20000 // in one run, and as many in each of the two kinds of blocks
	execBlocks = 20    // with the agent; as many without, in turn
)

// execReport is what one block of the workload says of itself.
type execReport struct {
	PID   int
	Count int
	CPU   time.Duration // of the workload: its own and its children's
}

// measureExec is promise 1: every exec and exit arrives and is right, and costs little.
func measureExec(ctx context.Context, b *bench) ([]result, error) {
	per := execTotal / execBlocks / b.scale
	whole, err := b.watchedBlock(ctx, execTotal/b.scale)
	if err != nil {
		return nil, err
	}
	var with, without []float64
	wrong, produced := whole.wrong, whole.report.Count
	for block := range execBlocks {
		// Off and on take turns to be first, so that a drift of the machine cancels out.
		for turn := range 2 {
			if (block+turn)%2 == 0 {
				if err := b.warmUp(); err != nil {
					return nil, err
				}
				r, err := b.execBlock(per)
				if err != nil {
					return nil, err
				}
				without = append(without, r.perProcess())
				continue
			}
			o, err := b.watchedBlock(ctx, per)
			if err != nil {
				return nil, err
			}
			with = append(with, o.report.perProcess())
			wrong += o.wrong
			produced += o.report.Count
		}
	}
	programs, process, err := b.programTime(ctx, per)
	if err != nil {
		return nil, err
	}
	ratios := make([]float64, execBlocks) // of neighbours in time: the machine drifts by more than the limit
	for i := range ratios {
		ratios[i] = with[i] / without[i]
	}
	return []result{
		{what: fmt.Sprintf("exec and exit records missing or wrong, of %d processes", produced), value: float64(wrong), exact: true},
		{what: "CPU of fork+exec+wait with the agent, over without it", value: (median(ratios) - 1) * 100, unit: "%", limit: 5,
			note: fmt.Sprintf("median of %d pairs of blocks; %.1f us without, %.1f us with", execBlocks, median(without), median(with))},
		{what: "of that, time in skep's programs as the kernel measures it", value: programs / process * 100, unit: "%", limit: 5,
			note: fmt.Sprintf("%.2f us of %.1f us", programs, process)},
		{what: "agent's CPU per process, one subscriber", value: float64(whole.agentCPU.Nanoseconds()) / float64(whole.report.Count) / 1000, unit: "us", limit: 12,
			note: fmt.Sprintf("one run of %d, in which a process itself took %.1f us", whole.report.Count, whole.report.perProcess())},
		{what: "resident and kernel maps, peak under this load", value: float64(whole.peakResident+whole.mapBytes) / (1 << 20), unit: "MiB", limit: 120,
			note: fmt.Sprintf("%.1f resident, %.1f in maps", float64(whole.peakResident)/(1<<20), float64(whole.mapBytes)/(1<<20))},
	}, nil
}

func (r execReport) perProcess() float64 {
	return float64(r.CPU.Nanoseconds()) / float64(r.Count) / 1000
}

func (b *bench) execBlock(count int) (r execReport, err error) {
	err = b.runWorkload(&r, "exec", b.tiny, strconv.Itoa(count))
	return r, err
}

// warmUp is a block that does not count, before each that does: after a pause the same work
// takes a third more, with the agent and without.
func (b *bench) warmUp() error {
	_, err := b.execBlock(execTotal / execBlocks / b.scale)
	return err
}

// runWorkload runs this program again as a workload, which prints its report as JSON.
func (b *bench) runWorkload(report any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, append([]string{"workload"}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("run workload %s: %w", args[0], err)
	}
	return json.Unmarshal(out, report)
}

func workload(args []string) {
	var report any
	var err error
	switch args[0] {
	case "exec":
		report, err = execWorkload(args[1], args[2])
	case "syscall":
		report, err = syscallWorkload(args[1])
	case "datagram":
		report, err = datagramWorkload(args[1])
	case "getsid":
		report, err = getsidWorkload(args[1])
	case "paced":
		report, err = pacedWorkload(args[1])
	case "tcp":
		report, err = tcpWorkload(args[1])
	case "open":
		report, err = openWorkload(args[1], args[2], args[3])
	case "fill":
		report, err = fillWorkload(args[1], args[2], args[3])
	default:
		err = fmt.Errorf("no workload %q", args[0])
	}
	out := bufio.NewWriter(os.Stdout)
	if err = errors.Join(err, json.NewEncoder(out).Encode(report), out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "bench workload:", err)
		os.Exit(1)
	}
}

// execArgs is the argument vector of the i-th process; its length is its exit code.
func execArgs(i int) []string {
	args := []string{"tiny", "bench-" + strconv.Itoa(i)}
	for range i % 5 {
		args = append(args, "x")
	}
	return args
}

func execWorkload(path, count string) (execReport, error) {
	runtime.GOMAXPROCS(1)
	n, err := strconv.Atoi(count)
	if err != nil {
		return execReport{}, err
	}
	for i := range n {
		args := execArgs(i)
		pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{})
		if err != nil {
			return execReport{}, err
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
			return execReport{}, err
		}
		if status.ExitStatus() != len(args) {
			return execReport{}, fmt.Errorf("process %d exited with %d", i, status.ExitStatus())
		}
	}
	return execReport{PID: os.Getpid(), Count: n, CPU: rusage(unix.RUSAGE_SELF) + rusage(unix.RUSAGE_CHILDREN)}, nil
}

func rusage(who int) time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(who, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// settled is how long an agent has been up when its cost is measured: what its start costs is
// another figure, and its first log is on disk by then.
const settled = 2 * time.Second

// outcome is what a block looked like from the agent.
type outcome struct {
	report                 execReport
	agentCPU               time.Duration
	wrong                  uint64
	peakResident, mapBytes uint64
}

func (b *bench) watchedBlock(ctx context.Context, count int) (o outcome, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	s, err := a.subscribe(ctx, "exec", "exit")
	if err != nil {
		return o, err
	}
	defer s.stop()
	time.Sleep(settled)
	if err := b.warmUp(); err != nil {
		return o, err
	}
	time.Sleep(100 * time.Millisecond) // until the agent has dealt with that
	before, err := a.cpu()
	if err != nil {
		return o, err
	}
	if o.report, err = b.execBlock(count); err != nil {
		return o, err
	}
	records := s.until(2*time.Second, func(all []*skepv1.Record) bool { return countOf(all, o.report.PID, "exit") >= count })
	after, err := a.cpu()
	if err != nil {
		return o, err
	}
	o.agentCPU = after - before
	o.wrong = wrongExecs(records, o.report)
	if o.peakResident, err = a.peakResident(); err != nil {
		return o, err
	}
	o.mapBytes, err = a.mapBytes(ctx)
	return o, err
}

// programTime is the time that all programs together take of a process that forks, execs and
// exits, by the kernel's own statistics, and that process's CPU meanwhile, in microseconds. It
// has none of the noise of two blocks compared, and none of what the agent does to caches.
func (b *bench) programTime(ctx context.Context, count int) (programs, process float64, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	before, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{}) // turns the statistics on
	if err != nil {
		return 0, 0, err
	}
	report, err := b.execBlock(count)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(1100 * time.Millisecond) // the agent reads them once a second
	after, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return 0, 0, err
	}
	earlier := map[uint32]*skepv1.ProgramStatus{}
	for _, p := range before.Programs {
		earlier[p.Id] = p
	}
	for _, p := range after.Programs {
		runs := p.Runs - earlier[p.Id].GetRuns()
		if runs >= uint64(report.Count)/2 { // once for each process; of the rest a few ran for others
			programs += float64(p.RunTimeNs-earlier[p.Id].GetRunTimeNs()) / float64(runs) / 1000
		}
	}
	if programs == 0 {
		return 0, 0, errors.New("measure programs: none has run for each process")
	}
	return programs, report.perProcess(), nil
}

func countOf(records []*skepv1.Record, parent int, kind string) int {
	n := 0
	for _, r := range records {
		if r.Kind == kind && r.Process.GetPpid() == uint32(parent) {
			n++
		}
	}
	return n
}

// wrongExecs compares the records with what the workload did: the i-th child has
// its own arguments, the workload as its parent, and the number of its arguments as code.
func wrongExecs(records []*skepv1.Record, report execReport) uint64 {
	var parent string
	codes := map[string]int{}
	seen := map[string]bool{}
	var wrong uint64
	for _, r := range records {
		if r.Process.GetPid() == uint32(report.PID) && r.Kind == "exec" {
			parent = r.Process.ExecId
		}
		if r.Kind == "loss" {
			wrong += r.GetLoss().Count
		}
		if r.Process.GetPpid() != uint32(report.PID) {
			continue
		}
		switch r.Kind {
		case "exec":
			args := r.GetExec().Args
			codes[r.Process.ExecId] = len(args)
			if len(args) < 2 || seen[args[1]] || r.Process.ParentExecId != parent || !rightArgs(args) {
				wrong++
				continue
			}
			seen[args[1]] = true
		case "exit":
			if code, ok := codes[r.Process.ExecId]; !ok || code != int(r.GetExit().Code) {
				wrong++
				continue
			}
			delete(codes, r.Process.ExecId)
		}
	}
	return wrong + uint64(report.Count-len(seen)) + uint64(len(codes))
}

func rightArgs(args []string) bool {
	var i int
	if _, err := fmt.Sscanf(args[1], "bench-%d", &i); err != nil {
		return false
	}
	want := execArgs(i)
	return fmt.Sprint(args) == fmt.Sprint(want)
}
