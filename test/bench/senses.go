// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// measureSenses is promise 1 again with all senses on: nothing is missing, and the workload
// pays little more than with the default ones.
func measureSenses(ctx context.Context, b *bench) ([]result, error) {
	config := filepath.Join(b.dir, "everything.yaml")
	if err := os.WriteFile(config, []byte(everything), 0o600); err != nil {
		return nil, err
	}
	per := execTotal / execBlocks / b.scale
	var ratios, cpu []float64
	var wrong, peak uint64
	for block := range sensesBlocks {
		var perProcess [2]float64 // with the default sensors, and with all
		for turn := range 2 {
			all := (block + turn) % 2
			args := [][]string{nil, {"--config", config}}[all]
			o, err := b.watchedBlock(ctx, per, args...)
			if err != nil {
				return nil, err
			}
			perProcess[all] = o.report.perProcess()
			if all == 1 {
				cpu = append(cpu, float64(o.agentCPU.Nanoseconds())/float64(o.report.Count)/1000)
				wrong += o.wrong
				peak = max(peak, o.peakResident+o.mapBytes)
			}
		}
		ratios = append(ratios, perProcess[1]/perProcess[0])
	}
	return []result{
		{what: fmt.Sprintf("all senses on: exec and exit records missing or wrong, of %d processes", sensesBlocks*per), value: float64(wrong), exact: true},
		{what: "all senses on: CPU of fork+exec+wait, over that with the default ones", value: (median(ratios) - 1) * 100, unit: "%", limit: 3,
			note: fmt.Sprintf("median of %d pairs of blocks", sensesBlocks)},
		{what: "all senses on: agent's CPU per process, one subscriber", value: median(cpu), unit: "us", limit: 12, note: fmt.Sprintf("median of %d blocks", sensesBlocks)},
		{what: "all senses on: resident and kernel maps, peak", value: float64(peak) / (1 << 20), unit: "MiB", limit: 120},
	}, nil
}
