// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const traceInstallLong = `Keep a script in the agent under NAME: it is attached now, and again whenever the
agent starts, until "skep trace remove NAME". The script is given as to skep trace,
its arguments that look like flags behind "--". What it says goes into a log of at
most 16 MiB that "skep trace logs" reads. Takes role admin.

Its maps begin empty with each start of the agent; what they held is in the log if
the agent was stopped, and lost if it was killed. A script that ends by itself
stays installed and begins again with the agent. system() and cat() are refused,
as nobody is there to run them with his own rights.

Exit status as in "skep --help"; 1 if the script has faults.`

const traceListLong = `List the installed scripts with their states, and why one does not run. Takes role
admin; skep status tells how they are to everybody.

Exit status as in "skep --help".`

const traceLogsLong = `Show what an installed script has said, as skep trace shows it, and how much of it
is not there any more. Takes role admin.

Exit status as in "skep --help".`

const traceRemoveLong = `End an installed script: its probes are taken off, its end probes run, and it is
forgotten with its log. Takes role admin.

Exit status as in "skep --help".`

func (a *app) traceInstallCmd() *cobra.Command {
	var f traceFlags
	var rate uint32
	cmd := &cobra.Command{
		Use:                   "install [FLAGS] NAME [FILE | -e PROGRAM] [ARG...]",
		DisableFlagsInUseLine: true,
		Annotations:           asksOne,
		Short:                 "Keep a script in the agent, also over its restarts",
		Long:                  traceInstallLong,
		Example: `  sudo skep trace install --metrics opens \
      -e 'tracepoint:syscalls:sys_enter_openat { @opens[comm] = count(); }'
  sudo skep trace install slow slow.bt 100`,
		Args: takes(1, math.MaxInt, "a name for the script"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output, "text", "json"); err != nil {
			return err
		}
		req, err := f.request(a, cmd, args[1:])
		if err != nil {
			return err
		}
		if rate > 0 {
			req.Limits = &skepv1.TraceLimits{EventsPerSecond: rate}
		}
		install := &skepv1.InstallTraceRequest{Name: args[0], Trace: req}
		return a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			return a.traceInstall(ctx, c, install, &f)
		})(cmd, args)
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.expression, "expression", "e", "", "the script itself, instead of a file: `PROGRAM`")
	flags.StringVar(&f.container, "container", "", "only processes of this container: a `NAME`, or the beginning of an id")
	flags.BoolVar(&f.unsafe, "unsafe", false, "let the script change things")
	flags.BoolVar(&f.metrics, "metrics", false, "serve the script's maps as metrics of the agent")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing if all is well")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say what the verifier said")
	flags.Uint32Var(&rate, "rate", 0, "at most this many events a second go into the log (default 1000)")
	outputFlag(cmd, &f.output, "text", "text", "json")
	return cmd
}

func (a *app) traceInstall(ctx context.Context, c *client, req *skepv1.InstallTraceRequest, f *traceFlags) error {
	res, err := c.InstallTrace(ctx, req)
	if err != nil {
		return err
	}
	p := a.newTracePrinter(f, req.GetTrace())
	for _, d := range res.GetDiagnostics() {
		if err := p.tell(p.diagnostic(d)); err != nil {
			return err
		}
	}
	switch {
	case res.GetInstalled() == nil:
		return &exitError{exitFailed, errQuiet}
	case f.output == "json":
		return a.print(string(event.AppendJSON(nil, res.GetInstalled())) + "\n")
	case f.quiet:
		return nil
	}
	s := res.GetInstalled().GetStatus()
	return a.print(fmt.Sprintf("installed %s: %s, %d probe%s\n", event.Printable(s.GetName()), event.Printable(s.GetState()), s.GetProbes(), plural(int(s.GetProbes()))))
}

func (a *app) traceListCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Annotations: asksOne, Short: "List the installed scripts, and why one does not run", Args: noArgs,
		Long: traceListLong, Example: "  sudo skep trace list\n  sudo skep trace list -o json",
		PreRunE: func(*cobra.Command, []string) error { return checkOutput(output, "table", "json") },
		RunE: a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			res, err := c.ListTraces(ctx, &skepv1.ListTracesRequest{})
			if err != nil {
				return err
			}
			if output == "json" {
				return a.print(jsonLines(res.GetTraces()))
			}
			var list []*skepv1.TraceStatus
			for _, t := range res.GetTraces() {
				list = append(list, t.GetStatus())
			}
			return a.print(string(installedTable(list, time.Now()).render(nil, a.screen, a.width())))
		}),
	}
	outputFlag(cmd, &output, "table", "table", "json")
	return cmd
}

func jsonLines(list []*skepv1.InstalledTrace) string {
	var b strings.Builder
	for _, t := range list {
		b.Write(append(event.AppendJSON(nil, t), '\n'))
	}
	return b.String()
}

// installedTable is also a part of the status.
func installedTable(list []*skepv1.TraceStatus, now time.Time) *table {
	t := &table{columns: []column{{title: "SCRIPT"}, {title: "STATE"}, {title: "AGE", right: true}, {title: "PROBES", right: true},
		{title: "EVENTS", right: true}, {title: "LOST", right: true}, {title: "LOG", right: true}, {title: "REASON"}}}
	for _, s := range list {
		age := "-"
		if s.GetSince() != nil {
			age = formatAge(now.Sub(s.GetSince().AsTime()))
		}
		state := text(event.Printable(s.GetState()))
		if s.GetState() == "failed" || s.GetState() == "damaged" {
			state = painted(red, event.Printable(s.GetState()))
		}
		t.add(text(event.Printable(s.GetName())), state, text(age), text(strconv.Itoa(int(s.GetProbes()))),
			text(formatCount(s.GetEvents())), lostCell(s.GetLost()), text(formatBytes(s.GetLogBytes())), text(event.Printable(dash(s.GetReason()))))
	}
	return t
}

func (a *app) traceLogsCmd() *cobra.Command {
	var f traceFlags
	req := &skepv1.TraceLogsRequest{}
	cmd := &cobra.Command{
		Use: "logs [FLAGS] NAME", DisableFlagsInUseLine: true, Annotations: asksOne, Short: "Show what an installed script has said", Args: takes(1, 1, "the name of an installed script; skep trace list has them"),
		Long: traceLogsLong, Example: "  sudo skep trace logs opens\n  sudo skep trace logs --follow -n 10 opens",
		PreRunE: func(*cobra.Command, []string) error { return checkOutput(f.output, "text", "json") },
		RunE: a.withRunningAgent(func(ctx context.Context, a *app, c *client, args []string) error {
			req.Name = args[0]
			return a.traceLogs(ctx, c, req, &f)
		}),
	}
	cmd.Flags().BoolVarP(&req.Follow, "follow", "f", false, "go on with what it says from now")
	cmd.Flags().Uint32VarP(&req.Last, "last", "n", 0, "at most the last `N` events (default all)")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "do not say how many probes were attached")
	outputFlag(cmd, &f.output, "text", "text", "json")
	return cmd
}

func (a *app) traceLogs(ctx context.Context, c *client, req *skepv1.TraceLogsRequest, f *traceFlags) error {
	stream, err := c.TraceLogs(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	p := a.newTracePrinter(f, &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Name: req.GetName()})
	for stream.Receive() {
		if n := stream.Msg().GetLost(); n > 0 {
			p.lost(&skepv1.TraceLoss{Place: "log", Count: n})
		}
		for _, e := range stream.Msg().GetEntries() {
			if e.GetEvent().GetReady() != nil {
				p.parted = false // it has begun anew
			}
			if err := p.event(e.GetEvent()); err != nil {
				return err
			}
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	return endOfStream(ctx, stream.Err())
}

func (a *app) traceRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Annotations: asksOne, Short: "End an installed script, and forget it and its log", Args: takes(1, 1, "the name of an installed script; skep trace list has them"),
		Long: traceRemoveLong, Example: "  sudo skep trace remove opens",
		RunE: a.withRunningAgent(func(ctx context.Context, a *app, c *client, args []string) error {
			_, err := c.RemoveTrace(ctx, &skepv1.RemoveTraceRequest{Name: args[0]})
			return err
		}),
	}
}
