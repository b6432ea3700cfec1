// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const statusLong = `Show how the agent is: version and uptime, records received and lost per kind,
subscribers, tables, memory (its own and in kernel maps) and, for each BPF
program, its hook, runs a second, time a run and share of one CPU. RATE is that of
the last ten seconds, what programs do that of the last one. With limits
in skep.yaml also how the agent stands to them, and which sensors it has shed.

With -o json the whole status is one object; --watch prints one per second.
Exit status as in "skep --help".`

const statusExample = `  # Now, and then as it changes
  skep status
  skep status --watch

  # Lost records, for a monitoring script
  skep status -o json | jq '[.kinds[].lost // 0] | add'`

func (a *app) statusCmd() *cobra.Command {
	var output string
	var watch bool
	cmd := &cobra.Command{
		Use:         "status",
		Annotations: asksMany,
		Short:       "Show how the agent is and what it costs",
		Long:        statusLong,
		Example:     statusExample,
		Args:        noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if watch && a.many() && output != "json" {
				return usage("--watch shows one host; name one, or use -o json")
			}
			return checkOutput(output, "table", "json")
		},
		RunE: a.withAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			if watch {
				return a.watchStatus(ctx, c, output)
			}
			return a.showStatus(ctx, c, output)
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "again every second, until Ctrl-C")
	outputFlag(cmd, &output, "table", "table", "json")
	return cmd
}

func (a *app) showStatus(ctx context.Context, c *client, output string) error {
	s, err := c.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(a, s)
	}
	return a.print(a.statusPage(s))
}

func (a *app) watchStatus(ctx context.Context, c *client, output string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if a.screen.terminal && output != "json" {
			// Home and clear: the page stays where it is.
			if err := a.print("\x1b[H\x1b[2J"); err != nil {
				return err
			}
		}
		if err := a.showStatus(ctx, c, output); err != nil {
			return endOfStream(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *app) statusPage(s *skepv1.GetStatusResponse) string {
	v := &sheet{screen: a.screen, now: time.Now()}
	v.line("Agent", event.Printable(s.GetVersion())+", up "+formatAge(s.GetUptime().AsDuration()))
	v.line("Node", event.Printable(s.GetNodeName()+" "+s.GetNodeId()))
	v.hostile("Boot", s.GetBootId())
	v.line("CPU", fmt.Sprintf("agent %s, programs %s of one CPU; %s since start", formatShare(s.GetAgentCpuShare()),
		formatShare(s.GetProgramsCpuShare()), formatDuration(s.GetAgentCpu().AsDuration())))
	v.line("Memory", formatBytes(s.GetMemory().GetResidentBytes())+" resident, "+formatBytes(s.GetMemory().GetKernelMapsBytes())+" in kernel maps")
	if b := s.GetBudget(); b != nil {
		v.line("Budget", budgetLine(b))
		for _, sensor := range b.GetSensors() {
			if sensor.GetShed() {
				v.line("", v.screen.paint(loud, "shed")+" "+shedLine(sensor, v.now))
			}
		}
	}
	for _, t := range []struct {
		name string
		t    *skepv1.TableStatus
	}{{"Processes", s.GetProcesses()}, {"Connections", s.GetConnections()}, {"Containers", s.GetContainers()}} {
		if t.t != nil {
			v.line(t.name, formatCount(t.t.GetEntries())+ofCapacity(t.t.GetCapacity()))
		}
	}
	if st := s.GetStore(); st != nil {
		v.line("Disk log", storeLine(st, v.now))
		if st.GetFailing() != "" {
			v.line("", event.Printable(st.GetFailing()))
		}
	}
	width := a.width()
	v.table("Records", kindTable(s.GetKinds()), width)
	v.table("Lost", lossTable(s.GetLosses()), width)
	v.table("Outputs", outputTable(s.GetOutputs()), width)
	v.table("Subscribers", subscriberTable(s.GetSubscribers(), v.now), width)
	v.table("Scripts", installedTable(s.GetTraces(), v.now), width)
	v.table("Programs", programTable(s.GetPrograms()), width)
	v.table("Signals", signalTable(s.GetSignals()), width)
	return v.String()
}

func budgetLine(b *skepv1.BudgetStatus) string {
	var parts []string
	if b.GetCpuLimit() > 0 {
		parts = append(parts, fmt.Sprintf("CPU %s of %s", formatShare(b.GetCpu()), formatShare(b.GetCpuLimit())))
	}
	if b.GetMemoryLimitBytes() > 0 {
		parts = append(parts, fmt.Sprintf("memory %s of %s", formatBytes(b.GetMemoryBytes()), formatBytes(b.GetMemoryLimitBytes())))
	}
	line := or(strings.Join(parts, ", "), "no limits")
	if b.GetExhausted() {
		line += "; over it with all shed that may be: raise limits in skep.yaml"
	}
	return line
}

func shedLine(s *skepv1.SensorBudget, now time.Time) string {
	return event.Printable(fmt.Sprintf("%s for %s (%s): %s", s.GetSensor(), formatAge(now.Sub(s.GetSince().AsTime())),
		strings.Join(s.GetKinds(), ", "), s.GetReason()))
}

func storeLine(st *skepv1.StoreStatus, now time.Time) string {
	line := formatBytes(st.GetBytes()) + " of " + formatBytes(st.GetMaxBytes())
	if st.GetOldest() != nil {
		line += ", back to " + formatAge(now.Sub(st.GetOldest().AsTime())) + " ago"
	}
	if n := st.GetDamagedSegments(); n > 0 {
		line += fmt.Sprintf(", %d files damaged", n)
	}
	if n := st.GetDamagedBytes(); n > 0 {
		line += ", " + formatBytes(n) + " of logs torn or damaged"
	}
	if n := st.GetDamagedRecords(); n > 0 {
		line += ", " + formatCount(n) + " records in them lost"
	}
	if st.GetFailing() != "" {
		line += ", not being written:"
	}
	return line
}

func ofCapacity(n uint64) string {
	if n == 0 {
		return ""
	}
	return " of " + formatCount(n)
}

// table prints a titled table, or nothing for one without rows.
func (v *sheet) table(name string, t *table, width int) {
	if len(t.rows) == 0 {
		return
	}
	v.section(name)
	v.Write(t.render(nil, v.screen, width))
}

func kindTable(kinds []*skepv1.KindStatus) *table {
	t := &table{columns: []column{{title: "KIND"}, {title: "RECEIVED", right: true}, {title: "LOST", right: true}, {title: "RATE", right: true}}}
	for _, k := range kinds {
		t.add(painted(kindColour(k.GetKind()), event.Printable(k.GetKind())), text(formatCount(k.GetReceived())),
			lostCell(k.GetLost()), text(formatRate(k.GetRate())))
	}
	return t
}

func lostCell(n uint64) cell {
	if n == 0 {
		return text("0")
	}
	return painted(loud, formatCount(n))
}

func lossTable(losses []*skepv1.LossCount) *table {
	t := &table{columns: []column{{title: "PLACE"}, {title: "KIND"}, {title: "COUNT"}}}
	for _, l := range losses {
		if l.GetCount() > 0 {
			t.add(text(event.Printable(l.GetPlace())), text(event.Printable(dash(l.GetKind()))), lostCell(l.GetCount()))
		}
	}
	return t
}

func subscriberTable(subscribers []*skepv1.Subscriber, now time.Time) *table {
	t := &table{columns: []column{{title: "ID", right: true}, {title: "WHO", max: 24}, {title: "AGE", right: true},
		{title: "DELIVERED", right: true}, {title: "LOST", right: true}, {title: "FILTER"}}}
	for _, s := range subscribers {
		t.add(text(strconv.FormatUint(s.GetId(), 10)), text(event.Printable(s.GetWho())), text(formatAge(now.Sub(s.GetSince().AsTime()))),
			text(formatCount(s.GetDelivered())), lostCell(s.GetLost()), text(event.Printable(s.GetFilter())))
	}
	return t
}

func outputTable(outputs []*skepv1.OutputStatus) *table {
	t := &table{columns: []column{{title: "NAME"}, {title: "TYPE"}, {title: "DELIVERED", right: true}, {title: "LOST", right: true},
		{title: "FAILURES", right: true}, {title: "TARGET"}, {title: "LAST ERROR"}}}
	for _, o := range outputs {
		t.add(text(event.Printable(o.GetName())), text(event.Printable(o.GetType())), text(formatCount(o.GetDelivered())), lostCell(o.GetLost()),
			text(formatCount(o.GetFailures())), text(event.Printable(o.GetTarget())), text(event.Printable(or(o.GetLastError(), "-"))))
	}
	return t
}

func programTable(programs []*skepv1.ProgramStatus) *table {
	programs = slices.Clone(programs)
	slices.SortStableFunc(programs, func(a, b *skepv1.ProgramStatus) int {
		return cmp.Compare(b.GetCpuShare(), a.GetCpuShare())
	})
	t := &table{columns: []column{{title: "NAME"}, {title: "RUNS", right: true}, {title: "NS/RUN", right: true}, {title: "CPU", right: true},
		{title: "MISSED", right: true}, {title: "TOTAL RUNS", right: true}, {title: "HOOK"}}}
	for _, p := range programs {
		t.add(text(event.Printable(p.GetName())), text(formatRate(p.GetRunsPerSecond())), text(strconv.FormatFloat(p.GetNsPerRun(), 'f', 0, 64)),
			text(formatShare(p.GetCpuShare())), lostCell(p.GetMissed()), text(formatCount(p.GetRuns())), text(event.Printable(p.GetHook())))
	}
	return t
}

func signalTable(signals []*skepv1.SignalStatus) *table {
	t := &table{columns: []column{{title: "SIGNAL"}, {title: "INTENT"}, {title: "RUNG"}, {title: "LIMITS"}}}
	for _, s := range signals {
		rung := text(event.Printable(s.GetRung()))
		switch {
		case switchedOff(s):
			rung = painted(dim, "off")
		case !s.GetAvailable():
			rung = painted(red, "none")
			if isShed(s) {
				rung = painted(red, "shed")
			}
		}
		limits := "-"
		if n := len(s.GetLimits()); n > 0 {
			limits = strconv.Itoa(n) + " (skep doctor)"
		}
		t.add(text(event.Printable(s.GetSignal())), text(event.Printable(s.GetIntent())), rung, text(limits))
	}
	return t
}
