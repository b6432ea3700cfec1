// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// crowdSize is how many processes there are before the agent, the second time.
const crowdSize = 6000

// measureStart is promise 4: the first event soon, and little memory when idle; also on a
// host that is full of processes.
func measureStart(ctx context.Context, b *bench) ([]result, error) {
	results, err := b.starts(ctx, "", 70)
	if err != nil {
		return nil, err
	}
	disperse, err := b.crowd(crowdSize / b.scale)
	if err != nil {
		return nil, err
	}
	defer disperse()
	crowded, err := b.starts(ctx, fmt.Sprintf(", %d processes there", crowdSize/b.scale), -1)
	return append(results, crowded...), err
}

func (b *bench) starts(ctx context.Context, where string, memoryLimit float64) ([]result, error) {
	var first, idle []float64
	var note string
	for range 5 {
		latency, resident, maps, err := b.coldStart(ctx)
		if err != nil {
			return nil, err
		}
		first = append(first, latency.Seconds())
		idle = append(idle, float64(resident+maps)/(1<<20))
		note = fmt.Sprintf("last: %.1f resident, %.1f in maps", float64(resident)/(1<<20), float64(maps)/(1<<20))
	}
	return []result{
		{what: "from starting skepd to the first event at a subscriber" + where, value: median(first), unit: "s", limit: 1, note: "median of 5"},
		{what: "resident and kernel maps, idle for 3 s" + where, value: median(idle), unit: "MiB", limit: memoryLimit, note: note},
	}, nil
}

// crowd starts processes that sleep until disperse ends them.
func (b *bench) crowd(n int) (disperse func(), err error) {
	path, err := sleepBinary(b.dir)
	if err != nil {
		return nil, err
	}
	var pids []int
	disperse = func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range pids {
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
	for i := range n {
		pid, err := syscall.ForkExec(path, []string{"sleep", strconv.Itoa(i)}, &syscall.ProcAttr{})
		if err != nil {
			disperse()
			return nil, fmt.Errorf("start process %d of a crowd: %w", i, err)
		}
		pids = append(pids, pid)
	}
	return disperse, nil
}

func (b *bench) coldStart(ctx context.Context) (first time.Duration, resident, maps uint64, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	s, err := a.subscribe(ctx, "exec")
	if err != nil {
		return 0, 0, 0, err
	}
	defer s.stop()
	if err := exec.Command(b.tiny, "first").Run(); err == nil {
		return 0, 0, 0, errors.New("tiny binary exited with 0")
	}
	if len(s.until(5*time.Second, func(all []*skepv1.Record) bool { return len(all) > 0 })) == 0 {
		return 0, 0, 0, errors.New("no event in 5 s")
	}
	first = time.Since(a.started)
	time.Sleep(3 * time.Second)
	status, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return 0, 0, 0, err
	}
	return first, status.Memory.ResidentBytes, status.Memory.KernelMapsBytes, nil
}
