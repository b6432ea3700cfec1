// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// traceCosts is what scripts add to a system call, by its CPU time: rounds of all in turn.
func (b *bench) traceCosts(ctx context.Context, tracers []tracer) ([]result, error) {
	rounds := max(traceRounds/b.scale, traceRoundsLeast)
	calls := map[string]string{"getsid": strconv.Itoa(max(400_000/b.scale, 20_000)), "paced": strconv.Itoa(max(50_000/b.scale, 5_000))}
	adds, lost := map[string][]perCPU{}, 0
	for range rounds {
		without := map[string]perCPU{}
		for workload, n := range calls {
			var ns perCPU
			if err := b.runWorkload(&ns, workload, n); err != nil {
				return nil, err
			}
			without[workload] = ns
		}
		for _, t := range tracers {
			for _, p := range tracePrograms {
				ns, said, err := b.traceCost(ctx, t, p.text, p.workload, calls[p.workload])
				if err != nil {
					return nil, err
				}
				adds[t.name+" "+p.name] = append(adds[t.name+" "+p.name], ns.over(without[p.workload]))
				lost += strings.Count(strings.ToLower(said), "lost ")
			}
		}
	}
	return traceFigures(adds, lost, rounds), nil
}

func (b *bench) traceCost(ctx context.Context, t tracer, text, workload, n string) (ns perCPU, said string, err error) {
	r, err := t.start(ctx, text, "up")
	if err != nil {
		return nil, "", err
	}
	err = b.runWorkload(&ns, workload, n)
	err = errors.Join(err, r.stop())
	return ns, r.errors.String(), err
}

// perCPU is the nanoseconds of one call on each CPU. bpftrace opens the event of a tracepoint on the first one: there
// each hit takes twice the time, as the kernel hands it on to that event too. So all CPUs count.
type perCPU []float64

func (p perCPU) over(without perCPU) perCPU {
	adds := slices.Clone(p)
	for i := range adds {
		adds[i] -= without[i]
	}
	return adds
}

func (p perCPU) mean() float64 {
	sum := 0.0
	for _, ns := range p {
		sum += ns
	}
	return sum / float64(len(p))
}

func (p perCPU) first() float64 { return p[0] }

// others is the mean of all but the first, which stands for them where it is alone.
func (p perCPU) others() float64 { return p[min(1, len(p)-1):].mean() }

func traceFigures(adds map[string][]perCPU, lost, rounds int) []result {
	of := func(name string, figure func(perCPU) float64) float64 {
		var all []float64
		for _, round := range adds[name] {
			all = append(all, figure(round))
		}
		return median(all)
	}
	note := fmt.Sprintf("median of %d rounds, mean of all CPUs", rounds)
	empty, counting := of("skep empty", perCPU.mean), of("skep count", perCPU.mean)
	results := []result{
		{what: "an empty script on a system call", value: empty, unit: "ns", limit: -1, note: note},
		{what: "counting by comm on a system call", value: counting, unit: "ns", limit: -1,
			note: fmt.Sprintf("%s; %.0f ns over the empty one", note, counting-empty)},
		{what: "streaming a record with pid and comm, in the kernel", value: of("skep stream", perCPU.mean), unit: "ns", limit: 1000,
			note: fmt.Sprintf("%s; 50,000 a second in bursts of %d", note, pacedPerBurst)},
		{what: "remarks about lost records meanwhile", value: float64(lost), exact: true},
	}
	if len(adds["bpftrace count"]) == 0 {
		return results
	}
	for _, p := range []struct {
		name, what string
		limit      float64
	}{{"count", "counting by comm: what skep adds, over what bpftrace adds", 0.8}, {"stream", "streaming: what skep adds, over what bpftrace adds", -1}} {
		skep, peer := "skep "+p.name, "bpftrace "+p.name
		ratio := func(figure func(perCPU) float64) float64 {
			var ratios []float64
			for i, round := range adds[skep] {
				ratios = append(ratios, figure(round)/figure(adds[peer][i]))
			}
			return median(ratios)
		}
		results = append(results, result{what: p.what, value: ratio(perCPU.mean), unit: "times", limit: p.limit,
			note: fmt.Sprintf("%s; %.0f and %.0f ns; %.2f on the first CPU, where bpftrace's event is, %.2f on the others",
				note, of(skep, perCPU.mean), of(peer, perCPU.mean), ratio(perCPU.first), ratio(perCPU.others))})
	}
	return results
}

// onEachCPU divides the calls among the CPUs, one after the other.
func onEachCPU(count string, call func() error) (perCPU, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, err
	}
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("ask for the CPUs: %w", err)
	}
	runtime.LockOSThread()
	share := strconv.Itoa(max(n/allowed.Count(), 1))
	var all perCPU
	for cpu := 0; len(all) < allowed.Count(); cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return nil, fmt.Errorf("go to CPU %d: %w", cpu, err)
		}
		ns, err := repeated(share, call)
		if err != nil {
			return nil, err
		}
		all = append(all, ns)
	}
	return all, nil
}

// getsidWorkload returns the CPU nanoseconds of one getsid on each CPU.
func getsidWorkload(count string) (perCPU, error) {
	return onEachCPU(count, func() error {
		unix.RawSyscall(unix.SYS_GETSID, 0, 0, 0)
		return nil
	})
}

// pacedWorkload is getsidWorkload with a pause after each burst, so that a reader can follow.
func pacedWorkload(count string) (perCPU, error) {
	n := 0
	return onEachCPU(count, func() error {
		unix.RawSyscall(unix.SYS_GETSID, 0, 0, 0)
		if n++; n%pacedPerBurst == 0 {
			time.Sleep(pacedBetween)
		}
		return nil
	})
}
