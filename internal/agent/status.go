// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
)

// status implements server.Deps.Status; the server adds the subscribers.
func (a *Agent) status() *skepv1.GetStatusResponse {
	old, now, err := a.costs.look()
	if err != nil {
		a.logger.Warn("no program statistics", "error", err)
	}
	live, _ := a.processes.Len()
	r := &skepv1.GetStatusResponse{
		Version: a.options.Version, NodeId: a.node.ID, BootId: a.node.BootID, NodeName: a.node.Name,
		Time: timestamppb.Now(), Started: timestamppb.New(a.started), Uptime: durationpb.New(time.Since(a.started)),
		Kinds: a.kindStatus(), Losses: a.lossCounts(),
		Processes: &skepv1.TableStatus{
			Entries: uint64(live), Capacity: uint64(a.options.Config.Tables.Processes)},
		Connections: &skepv1.TableStatus{
			Entries: uint64(a.flows.Stats().Open), Capacity: uint64(a.options.Config.Tables.Connections)},
		Containers: &skepv1.TableStatus{Entries: uint64(len(a.containers.Containers()))},
		Memory:     a.memory(),
		AgentCpu:   durationpb.New(ownCPU()),
		Signals:    signalStatus(a.allSignals()),

		Budget: a.budget.status(),

		ArgsRedacted: a.secrets.Count(), Outputs: a.outputs.status(), Traces: a.installed.status(),
	}
	if a.store != nil {
		r.Store = a.store.Status()
	}
	interval := now.at.Sub(old.at)
	r.AgentCpuShare = share(now.cpu-old.cpu, interval)
	for _, p := range now.programs {
		status := programStatus(old.of(p.ID), p, interval)
		r.ProgramsCpuShare += status.CpuShare
		r.Programs = append(r.Programs, status)
	}
	return r
}

func share(part, whole time.Duration) float64 {
	if whole <= 0 || part <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func programStatus(old, now kern.ProgramStats, interval time.Duration) *skepv1.ProgramStatus {
	s := &skepv1.ProgramStatus{
		Name: now.Name, Hook: now.Hook, Id: now.ID, Instructions: now.Instructions,
		Runs: now.Runs, RunTimeNs: uint64(now.RunTime), Missed: now.Missed,
		CpuShare: share(now.RunTime-old.RunTime, interval),
	}
	if runs := now.Runs - old.Runs; now.Runs > old.Runs && interval > 0 {
		s.RunsPerSecond = float64(runs) / interval.Seconds()
		s.NsPerRun = float64(now.RunTime-old.RunTime) / float64(runs)
	} else if now.Runs > 0 {
		s.NsPerRun = float64(now.RunTime) / float64(now.Runs)
	}
	return s
}

// counts is what has been received of each kind, ever since the pinned state was made.
func (a *Agent) counts() event.Counts {
	var counts event.Counts
	for kind := range counts {
		counts[kind] = a.sink.recorder.received(event.Kind(kind))
	}
	return counts
}

func (a *Agent) kindStatus() []*skepv1.KindStatus {
	counts, rates := a.counts(), a.costs.rates.perSecond(time.Now())
	var all []*skepv1.KindStatus
	for _, kind := range event.Kinds() {
		all = append(all, &skepv1.KindStatus{
			Kind: kind.String(), Received: counts[kind], Lost: a.sink.recorder.lost(kind), Rate: rates[kind],
		})
	}
	return all
}

// lossCounts lists every counter of the kernel side that is not zero, and the agent's own.
func (a *Agent) lossCounts() []*skepv1.LossCount {
	var all []*skepv1.LossCount
	add := func(place, kind string, n uint64) {
		if n > 0 {
			all = append(all, &skepv1.LossCount{Place: place, Kind: kind, Count: n})
		}
	}
	for typ := range int(abi.EventTypes) {
		name := typeName(abi.EventType(typ))
		for place := range places {
			add(places[place], name, a.sink.recorder.reported(place, typ))
		}
		add("restart", name, a.sink.recorder.restart(typ))
	}
	a.outputs.losses(add)
	add("malformed", "unknown", a.sink.malformed.Load())
	if a.store != nil {
		for kind, n := range a.store.Losses() {
			add(placeStore, event.Kind(kind).String(), n+a.sink.gaps[kind].Load())
		}
	}
	add(placeUndecoded, event.Dns.String(), a.sink.undecoded.Load())
	for _, f := range a.sink.fullTables() {
		add(f.place, f.kind, f.count)
	}
	for _, p := range a.costs.programs() {
		add("program_missed", p.Name, p.Missed)
	}
	return all
}

func (a *Agent) memory() *skepv1.MemoryStatus {
	m := &skepv1.MemoryStatus{ResidentBytes: residentBytes()}
	m.ResidentBytes -= min(m.ResidentBytes, a.reader.Resident())
	for _, s := range a.kernel.MapMemory() {
		m.KernelMapsBytes += s.Bytes
		m.Maps = append(m.Maps, &skepv1.MapStatus{Name: s.Name, Type: s.Type, Bytes: s.Bytes, MaxEntries: s.MaxEntries})
	}
	return m
}

func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

func signalStatus(signals []kern.Signal) []*skepv1.SignalStatus {
	var all []*skepv1.SignalStatus
	for _, s := range signals {
		status := &skepv1.SignalStatus{Signal: s.Ladder.Signal, Intent: string(s.Ladder.Intent), Available: s.Rung != nil}
		if s.Rung != nil {
			status.Rung, status.Limits = s.Rung.Name, s.Rung.Limits
		}
		if s.Transient {
			status.Limits = append(status.Limits[:len(status.Limits):len(status.Limits)],
				"ends with the agent: before Linux 5.15 such links cannot be pinned; what a reload has attached is pinned from the next start on")
		}
		if isShed(s) {
			status.Advice = "it comes back when there is room below limits in skep.yaml; raise them to have it sooner"
		} else if s.Rung == nil || s.Rung.Name != s.Ladder.Rungs[0].Name {
			status.Advice = s.Ladder.Advice
		}
		for _, r := range s.Reports {
			status.Rungs = append(status.Rungs, &skepv1.RungStatus{Name: r.Name, State: string(r.State), Reason: r.Reason})
		}
		all = append(all, status)
	}
	return all
}
