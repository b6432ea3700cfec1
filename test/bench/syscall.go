// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

const syscallBlocks = 11

// measureSyscall is promise 5: a system call that no sensor needs costs nothing more.
func measureSyscall(ctx context.Context, b *bench) ([]result, error) {
	per := 2_000_000 / b.scale
	ratios := []float64{}
	tracepoints := 0
	for range syscallBlocks {
		off, err := b.syscallBlock(per)
		if err != nil {
			return nil, err
		}
		on, taps, err := b.watchedSyscalls(ctx, per)
		if err != nil {
			return nil, err
		}
		tracepoints = max(tracepoints, taps)
		ratios = append(ratios, on/off)
	}
	return []result{
		{what: "default programs attached to system call tracepoints", value: float64(tracepoints), exact: true},
		{what: "getppid with the agent, over without it", value: (median(ratios) - 1) * 100, unit: "%", limit: 2,
			note: fmt.Sprintf("median of %d pairs; 2%% is the noise of this measurement", syscallBlocks)},
	}, nil
}

func (b *bench) syscallBlock(count int) (float64, error) {
	var ns float64
	err := b.runWorkload(&ns, "syscall", strconv.Itoa(count))
	return ns, err
}

func (b *bench) watchedSyscalls(ctx context.Context, count int) (ns float64, taps int, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	time.Sleep(300 * time.Millisecond)
	if ns, err = b.syscallBlock(count); err != nil {
		return 0, 0, err
	}
	status, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return 0, 0, err
	}
	for _, p := range status.Programs {
		if strings.Contains(p.Hook, "sys_enter") || strings.Contains(p.Hook, "sys_exit") {
			taps++
		}
	}
	return ns, taps, nil
}

// syscallWorkload returns the CPU nanoseconds of one getppid.
func syscallWorkload(count string) (float64, error) {
	runtime.LockOSThread()
	n, err := strconv.Atoi(count)
	if err != nil {
		return 0, err
	}
	before := rusage(unix.RUSAGE_THREAD)
	for range n {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	return float64((rusage(unix.RUSAGE_THREAD) - before).Nanoseconds()) / float64(n), nil
}
