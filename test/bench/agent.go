// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// agent is a skepd that was started for a measurement.
type agent struct {
	skepv1connect.AgentServiceClient
	command *exec.Cmd
	socket  string
	started time.Time
}

// startAgent starts a skepd and returns once it answers.
func (b *bench) startAgent(ctx context.Context, args ...string) (*agent, error) {
	socket := filepath.Join(b.dir, "agent.sock")
	config := filepath.Join(b.dir, "skep.yaml")
	if err := os.WriteFile(config, []byte(b.config), 0o600); err != nil {
		return nil, err
	}
	args = append([]string{"run", "--config", config, "--socket", socket, "--data-dir", filepath.Join(b.dir, "data")}, args...)
	command := exec.Command(filepath.Join(b.bin, "skepd"), args...)
	log, err := os.OpenFile(filepath.Join(b.dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command.Stderr = log
	client, _ := skepdtest.Connect(socket)
	a := &agent{AgentServiceClient: client, command: command, socket: socket, started: time.Now()}
	return a, skepdtest.Launch(command)
}

func (a *agent) stop() error {
	if err := a.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return a.command.Wait()
}

// cpu is the CPU time that the agent's process has used.
func (a *agent) cpu() (time.Duration, error) { return processCPU(a.command.Process.Pid) }

// processCPU sums what the scheduler accounts to each thread, in nanoseconds: the
// ticks of /proc/PID/stat are too coarse.
func processCPU(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("read CPU time of %d: no schedstat", pid)
	}
	var total time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has just ended
		}
		fields := strings.Fields(string(text))
		if len(fields) == 0 {
			continue
		}
		ns, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// peakResident is the largest resident size that the agent's process has had, without the
// pages of BPF maps, which mapBytes counts.
func (a *agent) peakResident() (uint64, error) {
	peak, err := a.kib("status", func(line string) bool { return strings.HasPrefix(line, "VmHWM:") })
	if err != nil {
		return 0, err
	}
	ofMap := false
	maps, err := a.kib("smaps", func(line string) bool {
		if first, _, _ := strings.Cut(line, " "); !strings.HasSuffix(first, ":") {
			ofMap = strings.HasSuffix(strings.TrimSpace(line), "anon_inode:bpf-map")
		}
		return ofMap && strings.HasPrefix(line, "Rss:")
	})
	if err != nil {
		return 0, err
	}
	return peak - min(peak, maps), nil
}

// kib adds up the sizes in those lines of a file in the agent's directory of /proc that
// are wanted, in bytes.
func (a *agent) kib(file string, wanted func(line string) bool) (sum uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", a.command.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if !wanted(line) {
			continue
		}
		kib, err := strconv.ParseUint(strings.Fields(line)[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// mapBytes is the kernel memory of the agent's maps.
func (a *agent) mapBytes(ctx context.Context) (uint64, error) {
	status, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return 0, err
	}
	return status.Memory.KernelMapsBytes, nil
}
