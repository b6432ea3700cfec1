// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
)

// everything is a configuration in which every sensor is on, with all that it can see.
const everything = `sensors:
  files:
    paths: [/etc, /usr, /var, /home, /root, /srv, /opt]
  host:
    calls: [auto, ptrace, mount, setns, unshare, module, bpf, setuid, kill, memfd, capability]
`

// sensesBlocks is how many blocks run with the sensors of the default configuration, and
// as many with all of them, in turn.
const sensesBlocks = 12

// measureSenses is promises 1 to 4 again with all senses on: nothing is missing, and the
// workload pays little more than with the default ones.
func measureSenses(ctx context.Context, b *bench) ([]result, error) {
	all := b.configured(everything)
	results, err := b.compareSenses(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context, *bench) ([]result, error){measureStart, measureRate, measureTCP} {
		more, err := measure(ctx, all)
		if err != nil {
			return results, err
		}
		results = append(results, more...)
	}
	for i := range results {
		results[i].what = "all senses on: " + results[i].what
	}
	return results, nil
}

// compareSenses runs the blocks of promise 1 in turn with the sensors of b and with all.
func (b *bench) compareSenses(ctx context.Context, all *bench) ([]result, error) {
	per := execTotal / execBlocks / b.scale
	var ratios, cpu []float64
	var wrong, peak uint64
	for block := range sensesBlocks {
		var perProcess [2]float64
		for turn := range 2 {
			which := (block + turn) % 2
			o, err := []*bench{b, all}[which].watchedBlock(ctx, per)
			if err != nil {
				return nil, err
			}
			perProcess[which] = o.report.perProcess()
			if which == 1 {
				cpu = append(cpu, float64(o.agentCPU.Nanoseconds())/float64(o.report.Count)/1000)
				wrong += o.wrong
				peak = max(peak, o.peakResident+o.mapBytes)
			}
		}
		ratios = append(ratios, perProcess[1]/perProcess[0])
	}
	return []result{
		{what: fmt.Sprintf("exec and exit records missing or wrong, of %d processes", sensesBlocks*per), value: float64(wrong), exact: true},
		{what: "CPU of fork+exec+wait, over that with the default ones", value: (median(ratios) - 1) * 100, unit: "%", limit: 3,
			note: fmt.Sprintf("median of %d pairs of blocks", sensesBlocks)},
		{what: "agent's CPU per process, one subscriber", value: median(cpu), unit: "us", limit: 12, note: fmt.Sprintf("median of %d blocks", sensesBlocks)},
		{what: "resident and kernel maps, peak under this load", value: float64(peak) / (1 << 20), unit: "MiB", limit: 120},
	}, nil
}
