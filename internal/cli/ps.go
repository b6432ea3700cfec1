// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

type psFlags struct {
	filterFlags
	tree, exited, connections bool
	at                        string
	output                    string
}

const psLong = `Show the agent's table of processes, or one process whole.

Without an argument: one line per process with its user, container, age,
number of open connections and arguments. A * after the pid marks a process
that was there before the agent; a name in brackets is a kernel thread or a
process whose arguments are not known.

With the pid of a live process, or the process_id or exec_id that a record
shows: that process with its ancestors, arguments, working directory,
credentials, namespaces, children, connections and, if it has ended, its exit.

With --at the processes that lived at a time in the past, from the agent's disk
log, without their connections. Where a file of the disk log cannot be read, so
that processes may be missing or may have ended before, the standard error says
which.

` + whenHelp + `

` + filterHelp + `

Lines fit the terminal; in a pipe nothing is cut off. With -o json one object
per line: the process table's entries or, with an argument, one object.

Exit status: 1 when the process is not known. Others as in "skep --help".`

const psExample = `  # Who runs, and below whom
  skep ps --tree

  # What runs in a container, with its connections
  skep ps --container web --connections

  # Everything that nginx started, also what has ended
  skep ps --ancestor-exe nginx --exited

  # What ran at half past ten, and below whom
  skep ps --at 10:30 --tree

  # One process whole
  skep ps 4242`

func (a *app) psCmd() *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use:         "ps [PID|ID]",
		Annotations: asksMany,
		Short:       "Show the processes, or one process whole",
		Long:        psLong,
		Example:     psExample,
		Args:        takes(0, 1, ""),
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(f.output, "table", "json") },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := f.filter(a)
		if err != nil {
			return err
		}
		if f.at != "" {
			return a.processesAt(cmd, args, filter, f)
		}
		if len(args) == 1 {
			if !f.empty() || f.tree || f.connections {
				return usage("a process and a filter, --tree or --connections exclude each other")
			}
			return a.withAgent(func(ctx context.Context, a *app, c *client, args []string) error {
				return a.showProcess(ctx, c, args[0], f.output)
			})(cmd, args)
		}
		return a.withAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			return a.listProcesses(ctx, c, &skepv1.ListProcessesRequest{Filter: filter, Exited: f.exited}, f, time.Now())
		})(cmd, args)
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&f.tree, "tree", "t", false, "show who started whom; a filter keeps the ancestors of what it selects")
	flags.BoolVar(&f.exited, "exited", false, "also processes that have ended and are still remembered")
	flags.StringVar(&f.at, "at", "", "the processes that lived at this time")
	flags.BoolVarP(&f.connections, "connections", "c", false, "show each process's connections below it")
	outputFlag(cmd, &f.output, "table", "table", "json")
	return cmd
}

// processesAt lists the processes of a time in the past.
func (a *app) processesAt(cmd *cobra.Command, args []string, filter *skepv1.Filter, f psFlags) error {
	if len(args) > 0 || f.exited || f.connections {
		return usage("--at and a process, --exited or --connections exclude each other")
	}
	now := time.Now()
	w, err := parseWhen("at", f.at, now)
	if err != nil {
		return err
	}
	at := w.time(now)
	return a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
		return a.listProcesses(ctx, c, &skepv1.ListProcessesRequest{Filter: filter, At: timestamppb.New(at)}, f, at)
	})(cmd, args)
}

// listProcesses shows a table; ages are those at a time.
func (a *app) listProcesses(ctx context.Context, c *client, req *skepv1.ListProcessesRequest, f psFlags, now time.Time) error {
	got, err := c.ListProcesses(ctx, req)
	if err != nil {
		return err
	}
	a.warnMissing(got.GetMissing())
	if err := a.warnUndecided(got.GetUndecided(), len(got.GetProcesses())); err != nil {
		return err
	}
	rows := inOrder(got.GetProcesses())
	if f.output == "json" {
		return printJSON(a, rows...)
	}
	v := processView{app: a, exited: f.exited, users: a.users(), now: now}
	if f.connections {
		if v.connections, err = connectionsByProcess(ctx, c, req.Filter); err != nil {
			return err
		}
	}
	lines := flat(rows)
	if f.tree {
		if lines, err = a.treeOf(ctx, c, rows, req, f); err != nil {
			return err
		}
	}
	return a.print(v.render(lines))
}

// treeOf arranges rows as a tree. The ancestors that a filter left out are
// fetched, or the tree would fall apart.
func (a *app) treeOf(ctx context.Context, c *client, rows []*skepv1.ProcessInfo, req *skepv1.ListProcessesRequest, f psFlags) ([]psLine, error) {
	all := rows
	if !f.empty() {
		whole, err := c.ListProcesses(ctx, &skepv1.ListProcessesRequest{Exited: req.Exited, At: req.At})
		if err != nil {
			return nil, err
		}
		all = inOrder(whole.GetProcesses())
	}
	return newForest(all).lines(rows, a.screen), nil
}

// inOrder sorts by start, then pid: a parent comes before its children.
func inOrder(ps []*skepv1.ProcessInfo) []*skepv1.ProcessInfo {
	slices.SortStableFunc(ps, func(a, b *skepv1.ProcessInfo) int {
		if c := a.GetStarted().AsTime().Compare(b.GetStarted().AsTime()); c != 0 {
			return c
		}
		return int(int64(a.GetProcess().GetPid()) - int64(b.GetProcess().GetPid()))
	})
	return ps
}

func connectionsByProcess(ctx context.Context, c *client, filter *skepv1.Filter) (map[string][]*skepv1.ConnectionInfo, error) {
	got, err := c.ListConnections(ctx, &skepv1.ListConnectionsRequest{Filter: filter})
	if err != nil {
		return nil, err
	}
	by := map[string][]*skepv1.ConnectionInfo{}
	for _, conn := range got.GetConnections() {
		id := conn.GetProcess().GetProcessId()
		by[id] = append(by[id], conn)
	}
	return by, nil
}

// psLine is a process with what is drawn before its command.
type psLine struct {
	process *skepv1.ProcessInfo
	branch  string
	// context is an ancestor that is there only to carry its children.
	context bool
}

func flat(rows []*skepv1.ProcessInfo) []psLine {
	lines := make([]psLine, len(rows))
	for i, p := range rows {
		lines[i].process = p
	}
	return lines
}

// processView renders processes as a table.
type processView struct {
	*app
	exited      bool
	users       userNames
	now         time.Time
	connections map[string][]*skepv1.ConnectionInfo
}

func (v *processView) render(lines []psLine) string {
	t := table{columns: []column{{title: "PID ", right: true}, {title: "USER", max: 12}, {title: "CONTAINER", max: 20},
		{title: "AGE", right: true}, {title: "CONNS", right: true}, {title: "COMMAND"}}}
	if v.exited {
		t.columns = slices.Insert(t.columns, 5, column{title: "EXIT", max: 12})
	}
	marked := false
	for _, l := range lines {
		marked = marked || l.process.GetProcess().GetPreexisting()
		t.add(v.row(l)...)
		for _, c := range v.connections[l.process.GetProcess().GetProcessId()] {
			t.follow("        " + newEssence(v.screen).summary(c))
		}
	}
	out := t.render(nil, v.screen, v.width())
	if marked && v.screen.terminal {
		out = append(v.screen.append(out, dim, "* was there before the agent"), '\n')
	}
	return string(out)
}

func (v *processView) row(l psLine) []cell {
	p := l.process.GetProcess()
	mark := " "
	if p.GetPreexisting() {
		mark = "*"
	}
	tone := plain
	if l.context {
		tone = dim
	}
	conns := "-"
	if n := l.process.GetConnections(); n > 0 {
		conns = strconv.FormatUint(uint64(n), 10)
	}
	row := []cell{painted(tone, strconv.FormatUint(uint64(p.GetPid()), 10)+mark), painted(tone, v.users.of(p)),
		painted(cyan, dash(containerName(p.GetContainer()))), painted(tone, v.age(l.process)), text(conns)}
	if v.exited {
		row = append(row, exitCell(l.process))
	}
	return append(row, painted(tone, l.branch+processCommand(l.process)))
}

// age is how long a process has lived, or did live.
func (v *processView) age(p *skepv1.ProcessInfo) string {
	if p.GetStarted() == nil {
		return "-"
	}
	end := v.now
	if p.GetExited() != nil {
		end = p.GetExited().AsTime()
	}
	return formatAge(end.Sub(p.GetStarted().AsTime()))
}

func exitCell(p *skepv1.ProcessInfo) cell {
	if p.GetExited() == nil {
		return text("-")
	}
	if p.GetExit() == nil {
		return text("ended")
	}
	how, c := exitStatus(p.GetExit())
	return painted(c, how)
}

// processCommand is the arguments or, as ps does, the name in brackets.
func processCommand(p *skepv1.ProcessInfo) string {
	if args := p.GetArgs(); len(args) > 0 {
		line := commandLine(args)
		if p.GetArgsTruncated() {
			line += " ..."
		}
		return line
	}
	if exe := p.GetProcess().GetExe(); exe != "" && p.GetProcess().GetComm() == "" {
		return "[" + event.Printable(path.Base(exe)) + "]"
	}
	return "[" + event.Printable(p.GetProcess().GetComm()) + "]"
}
