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

// measureSyscall is promise 5: a system call that no sensor needs costs nothing more. A send
// does, on any socket, where the TCP sensor looks at the end of each: that is told beside it.
func measureSyscall(ctx context.Context, b *bench) ([]result, error) {
	per := map[string]int{"syscall": 2_000_000 / b.scale, "datagram": 400_000 / b.scale}
	ratios := map[string][]float64{}
	tracepoints := 0
	for range syscallBlocks {
		off, err := b.syscallBlocks(per)
		if err != nil {
			return nil, err
		}
		on, taps, err := b.watchedSyscalls(ctx, per)
		if err != nil {
			return nil, err
		}
		tracepoints = max(tracepoints, taps)
		for name := range per {
			ratios[name] = append(ratios[name], on[name]/off[name])
		}
	}
	note := fmt.Sprintf("median of %d pairs", syscallBlocks)
	return []result{
		{what: "default programs attached to system call tracepoints", value: float64(tracepoints), exact: true},
		{what: "getppid with the agent, over without it", value: (median(ratios["syscall"]) - 1) * 100, unit: "%", limit: 2,
			note: note + "; 2% is the noise of this measurement"},
		{what: "send and receive of a unix datagram with the agent, over without it", value: (median(ratios["datagram"]) - 1) * 100, unit: "%", limit: -1,
			note: note + "; the TCP sensor's program at the end of a send, which leaves at once"},
	}, nil
}

// syscallBlocks returns the CPU nanoseconds of one call of each workload, done so many times.
func (b *bench) syscallBlocks(per map[string]int) (map[string]float64, error) {
	all := map[string]float64{}
	for name, count := range per {
		var ns float64
		if err := b.runWorkload(&ns, name, strconv.Itoa(count)); err != nil {
			return nil, err
		}
		all[name] = ns
	}
	return all, nil
}

func (b *bench) watchedSyscalls(ctx context.Context, per map[string]int) (ns map[string]float64, taps int, err error) {
	a, err := b.startAgent(ctx, "--ephemeral")
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	time.Sleep(300 * time.Millisecond)
	if ns, err = b.syscallBlocks(per); err != nil {
		return nil, 0, err
	}
	status, err := a.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return nil, 0, err
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
	return repeated(count, func() error {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		return nil
	})
}

// datagramWorkload returns the CPU nanoseconds of one datagram through a unix socket pair.
func datagramWorkload(count string) (float64, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	message := make([]byte, 64)
	return repeated(count, func() error {
		if _, err := unix.Write(pair[0], message); err != nil {
			return err
		}
		_, err := unix.Read(pair[1], message)
		return err
	})
}

// repeated returns the CPU nanoseconds of one call of many.
func repeated(count string, call func() error) (float64, error) {
	runtime.LockOSThread()
	n, err := strconv.Atoi(count)
	if err != nil {
		return 0, err
	}
	before := rusage(unix.RUSAGE_THREAD)
	for range n {
		if err := call(); err != nil {
			return 0, err
		}
	}
	return float64((rusage(unix.RUSAGE_THREAD) - before).Nanoseconds()) / float64(n), nil
}
