// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const (
	summaryRecords = 6
	summaryRate    = 50
)

// summarise shows rates and the last interesting records until ctx ends: in
// place on a terminal each second, elsewhere as a line each five seconds.
func (a *app) summarise(ctx context.Context, c *client) error {
	s := &summary{app: a, client: c}
	period := 5 * time.Second
	if a.screen.terminal {
		period = time.Second
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go s.watch(watching)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if err := s.step(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

type summary struct {
	*app
	client *client
	before *skepv1.GetStatusResponse
	at     time.Time
	// drawn is how many lines are on the terminal, to be drawn over.
	drawn int

	mu     sync.Mutex
	recent []string
}

func (s *summary) step(ctx context.Context) error {
	now, err := s.client.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return fmt.Errorf("ask the agent for its status: %w", err)
	}
	at := time.Now()
	rates := rateParts(s.before, now, at.Sub(s.at))
	first := s.before == nil
	s.before, s.at = now, at
	cost := fmt.Sprintf("lost %s, agent %s CPU, %s", formatCount(lost(now)),
		formatShare(now.GetAgentCpuShare()+now.GetProgramsCpuShare()), formatBytes(now.GetMemory().GetResidentBytes()+now.GetMemory().GetKernelMapsBytes()))
	if s.screen.terminal {
		return s.draw(append(packed(rates, s.width()), cost))
	}
	if first {
		return nil
	}
	return s.print(at.Format(time.TimeOnly) + "  " + strings.Join(rates, "  ") + "; " + cost + "\n")
}

// rateParts are what was received a second since the last look, per kind.
func rateParts(before, now *skepv1.GetStatusResponse, elapsed time.Duration) []string {
	old := map[string]uint64{}
	for _, k := range before.GetKinds() {
		old[k.GetKind()] = k.GetReceived()
	}
	var parts []string
	for _, k := range now.GetKinds() {
		rate := 0.0
		if before != nil && elapsed > 0 && k.GetReceived() >= old[k.GetKind()] {
			rate = float64(k.GetReceived()-old[k.GetKind()]) / elapsed.Seconds()
		}
		if common(k, now.GetSignals()) {
			parts = append(parts, event.Printable(k.GetKind())+" "+formatRate(rate))
		}
	}
	return parts
}

// packed puts parts into as few lines as they fit into.
func packed(parts []string, width int) (lines []string) {
	for _, p := range parts {
		last := len(lines) - 1
		if last < 0 || len(lines[last])+len("  ")+len(p) > width {
			lines = append(lines, p)
		} else {
			lines[last] += "  " + p
		}
	}
	return lines
}

// common leaves out what is not activity of the host, and the rare oom until
// there was one, and what a sensor that is off cannot see.
func common(k *skepv1.KindStatus, signals []*skepv1.SignalStatus) bool {
	switch k.GetKind() {
	case "loss", "agent":
		return false
	case "file", "dns", "udp", "unix":
		return k.GetReceived() > 0 || slices.ContainsFunc(signals, func(s *skepv1.SignalStatus) bool { return s.GetSignal() == k.GetKind() })
	case "oom":
		return k.GetReceived() > 0
	}
	return true
}

func lost(s *skepv1.GetStatusResponse) (n uint64) {
	for _, k := range s.GetKinds() {
		n += k.GetLost()
	}
	return n
}

// draw writes over what was drawn before: cursor up, then each line cleared
// to its end.
func (s *summary) draw(head []string) error {
	width := s.width()
	var lines []string
	for i, line := range head {
		style := bold
		if i == len(head)-1 {
			style = dim
		}
		lines = append(lines, s.screen.paint(style, s.screen.fit(line, width)))
	}
	s.mu.Lock()
	lines = append(lines, s.recent...)
	s.mu.Unlock()
	var out strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", s.drawn)
	}
	for _, l := range lines {
		out.WriteString("\r\x1b[2K" + l + "\n")
	}
	out.WriteString("\x1b[J") // what was there of more lines
	s.drawn = len(lines)
	return s.print(out.String())
}

// watch keeps the last interesting records, until the stream ends; why it
// ended is told by step, which asks the same agent.
func (s *summary) watch(ctx context.Context) {
	stream, err := s.client.Observe(ctx, &skepv1.ObserveRequest{Follow: true, MaxRate: summaryRate, Filter: &skepv1.Filter{
		Kinds: []string{"exec", "connect", "accept", "listen", "dns", "file", "unix", "host", "oom", "loss"}}})
	if err != nil {
		return
	}
	defer stream.Close()
	lines := newCompact(screen{utf8: s.screen.utf8})
	for stream.Receive() {
		for _, r := range stream.Msg().GetRecords() {
			s.remember(string(bytes.TrimRight(lines.record(nil, r), "\n")))
		}
	}
}

func (s *summary) remember(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent = append(s.recent, s.screen.fit(line, s.width()))
	if len(s.recent) > summaryRecords {
		s.recent = s.recent[1:]
	}
}
