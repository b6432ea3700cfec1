// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const topLong = `Show who does most now: for each process its records a second, open TCP
connections (NEW: made or accepted a second), the bytes that its connections
send and receive a second, and its share of one CPU. The agent counts, so that
nothing is missed however much happens, and a process that lives for a
millisecond counts too. Connections count where the sensor of TCP is attached.

On a terminal the page fills the screen until q is pressed:

    e o b c    sort by events, open connections, bytes, CPU (also left, right)
    /          show only what has a text in its name, path or container; Esc ends it
    p, space   hold the page still
    up, down   scroll
    q          quit

In a pipe, with --batch, and with several hosts, each measurement is a table
below the one before; with -o json each is one object. The first comes after one
interval.

` + filterHelp + `

The agent sends at most 1,000 rows; TOTAL is of all that match. Exit status as
in "skep --help".`

const topExample = `  # Who does most, live
  skep top

  # Which containers move most bytes, every ten seconds, for a log
  skep top --group container --by bytes --interval 10s --batch

  # The five programs that take most CPU, once
  skep top --once --group exe --by cpu -n 5

  # For a program to read
  skep top -o json | jq '.rows[0]'`

type topFlags struct {
	filterFlags
	by, group, output string
	interval          time.Duration
	limit             uint32
	batch, once       bool
}

// The values of --by and --group, as the agent knows them.
var (
	topOrders = []string{"events", "connections", "bytes", "cpu"}
	topGroups = []string{"process", "exe", "container"}
)

func (a *app) topCmd() *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:         "top",
		Annotations: asksMany,
		Short:       "Show who does most now: events, connections, bytes, CPU",
		Long:        topLong,
		Example:     topExample,
		Args:        noArgs,
		PreRunE:     func(*cobra.Command, []string) error { return f.check() },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := f.filter(a)
		if err != nil {
			return err
		}
		req := &skepv1.TopRequest{Filter: filter, By: f.by, Group: f.group, Interval: durationpb.New(f.interval), Limit: f.limit}
		ask := func(ctx context.Context, a *app, c *client, _ []string) error { return a.top(ctx, c, req, &f) }
		return a.withAgent(ask)(cmd, args)
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", "events", "what comes first: events, connections, bytes, cpu")
	flags.StringVar(&f.group, "group", "process", "what a row is of: process, exe, container")
	flags.DurationVar(&f.interval, "interval", 2*time.Second, "how long each measurement takes, 1s to 1m")
	flags.Uint32VarP(&f.limit, "limit", "n", 0, "at most `N` rows (0: as many as the agent sends, or the terminal shows)")
	flags.BoolVarP(&f.batch, "batch", "b", false, "tables one below the other, also on a terminal")
	flags.BoolVar(&f.once, "once", false, "end after one measurement")
	for name, values := range map[string][]string{"by": topOrders, "group": topGroups} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	}
	outputFlag(cmd, &f.output, "table", "table", "json")
	return cmd
}

func (f *topFlags) check() error {
	for flag, value := range map[string]struct {
		given   string
		allowed []string
	}{"--by": {f.by, topOrders}, "--group": {f.group, topGroups}, "-o": {f.output, []string{"table", "json"}}} {
		if err := oneOf(flag, value.given, value.allowed); err != nil {
			return err
		}
	}
	if f.interval < time.Second || f.interval > time.Minute {
		return usage("--interval %v: must be from 1s to 1m", f.interval)
	}
	return nil
}

// top shows measurements until the stream or the user ends it.
func (a *app) top(ctx context.Context, c *client, req *skepv1.TopRequest, f *topFlags) error {
	if a.screen.terminal && f.output == "table" && !f.batch && !f.once && !a.many() {
		return a.topScreen(ctx, c, req)
	}
	stream, err := c.Top(ctx, req)
	if err != nil {
		return endOfStream(ctx, err)
	}
	defer stream.Close()
	for stream.Receive() {
		if err := a.printTop(stream.Msg(), f); err != nil {
			return err
		}
		if f.once {
			return nil
		}
	}
	if err := stream.Err(); err != nil || ctx.Err() != nil {
		return endOfStream(ctx, err)
	}
	return fail(exitNoAgent, "the agent ended the stream")
}

func (a *app) printTop(m *skepv1.TopResponse, f *topFlags) error {
	if f.output == "json" {
		return printJSON(a, m)
	}
	text := topSummary(m) + "\n" + string(topTable(m, m.GetRows(), f.group).render(nil, a.screen, a.width()))
	if !f.once {
		text += "\n"
	}
	return a.print(text)
}

// topSummary is the line above a table.
func topSummary(m *skepv1.TopResponse) string {
	t := m.GetTotal()
	line := fmt.Sprintf("%s  events %s  connections %s, new %s  sent %s/s, received %s/s  CPU %s",
		m.GetTime().AsTime().Local().Format(time.TimeOnly), formatRate(t.GetEvents()), formatCount(uint64(t.GetConnections())), formatRate(t.GetConnects()),
		formatBytes(uint64(t.GetBytesSent())), formatBytes(uint64(t.GetBytesReceived())), formatShare(t.GetCpu()))
	if n := len(m.GetRows()); uint64(n) < m.GetMatching() {
		line += fmt.Sprintf("  (%s of %s rows)", formatCount(uint64(n)), formatCount(m.GetMatching()))
	}
	if n := m.GetUncounted(); n > 0 {
		line += fmt.Sprintf("  (%s records not counted: too many processes)", formatCount(n))
	}
	return line
}

func topTable(m *skepv1.TopResponse, rows []*skepv1.TopRow, group string) *table {
	t := &table{columns: []column{{title: "EVENTS", right: true}, {title: "CONNS", right: true}, {title: "NEW", right: true},
		{title: "SENT/S", right: true}, {title: "RECEIVED/S", right: true}, {title: "CPU", right: true}}}
	t.columns = append(t.columns, topNames[group].columns...)
	for _, r := range rows {
		t.add(append(topFigures(r), topNames[group].cells(r)...)...)
	}
	return t
}

func topFigures(r *skepv1.TopRow) []cell {
	figures := []cell{text(formatRate(r.GetEvents())), text(formatCount(uint64(r.GetConnections()))), text(formatRate(r.GetConnects())),
		text(formatBytes(uint64(r.GetBytesSent()))), text(formatBytes(uint64(r.GetBytesReceived()))), text(formatShare(r.GetCpu()))}
	for i, v := range []float64{r.GetEvents(), float64(r.GetConnections()), r.GetConnects(), r.GetBytesSent(), r.GetBytesReceived(), r.GetCpu()} {
		if v == 0 {
			figures[i] = painted(dim, "-")
		}
	}
	return figures
}

// topNames are the columns that say whose row it is, by group.
var topNames = map[string]struct {
	columns []column
	cells   func(*skepv1.TopRow) []cell
}{
	"process": {
		[]column{{title: "PID", right: true}, {title: "COMMAND", max: 16}, {title: "CONTAINER", max: 16}, {title: "EXE"}},
		func(r *skepv1.TopRow) []cell {
			p := r.GetProcess()
			return []cell{text(strconv.FormatUint(uint64(p.GetPid()), 10)), text(dash(event.Printable(p.GetComm()))),
				painted(cyan, dash(containerName(p.GetContainer()))), text(dash(event.Printable(p.GetExe())))}
		},
	},
	"exe": {
		[]column{{title: "PROCS", right: true}, {title: "EXE"}},
		func(r *skepv1.TopRow) []cell {
			return []cell{text(formatCount(uint64(r.GetProcesses()))), text(or(event.Printable(r.GetProcess().GetExe()), "kernel threads"))}
		},
	},
	"container": {
		[]column{{title: "PROCS", right: true}, {title: "CONTAINER", max: 32}, {title: "IMAGE"}},
		func(r *skepv1.TopRow) []cell {
			c := r.GetProcess().GetContainer()
			return []cell{text(formatCount(uint64(r.GetProcesses()))), painted(cyan, or(containerName(c), "(host)")), text(dash(event.Printable(c.GetImage())))}
		},
	},
}
