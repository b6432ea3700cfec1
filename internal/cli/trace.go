// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/tools"
)

const traceLong = `Run a script of the tracing language, which is bpftrace's, in the kernel: from
FILE, from -e, or from the standard input if neither is given. What follows FILE,
or the flags with -e, are the script's arguments $1, $2 and so on.

The agent compiles the script and attaches it; this takes role admin. It ends by
its own exit(), by Ctrl-C, after --duration, or with the command of -c: then its
end probes run and its maps are printed. A second Ctrl-C ends it at once, without
them. If skep goes away, the agent takes the script out of the kernel.

With --dry-run the script is compiled and loaded but not attached; with --emit its
syntax tree, intermediate representation or instructions are printed. With -l the
probes that match a pattern are listed, with -lv their arguments too.

-c starts CMD, without a shell and as the user that you are, and holds it at its
first instruction until the script is attached; the builtin cpid is its number.
system() and cat() run here as well, with your rights and never with the agent's.
What changes anything needs --unsafe.

With --metrics the script's maps are metrics where the agent serves its own
(metrics.listen in its configuration). "skep trace install" keeps a script in the
agent, also over its restarts. A script's own argument that is the name of a
subcommand goes behind "--": skep trace -e PROGRAM -- list.

With -o json each line is one object, as bpftrace -f json prints it: its "type"
says what "data" is.

What programs call themselves is made safe for a terminal; through a pipe every
byte comes as it is.

Exit status: the number that the script gives to exit(), else as in "skep --help".
See docs/trace.md.`

const traceExample = `  # Which programs open files, until Ctrl-C
  sudo skep trace -e 'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }'

  # Read sizes of one command
  sudo skep trace -c 'cat /etc/passwd' \
      -e 'tracepoint:syscalls:sys_exit_read /pid == cpid/ { @bytes = hist(args.ret); }'

  # A script with arguments, for ten seconds, for a program to read
  sudo skep trace --duration 10s -o json slow.bt 100

  # What can be traced, and with which arguments
  sudo skep trace -lv 'tracepoint:sched:sched_process_*'`

type traceFlags struct {
	expression, command, output, emit, container string
	pid                                          uint32
	dryRun, list, verbose, unsafe, quiet         bool
	metrics, helperErrors, noWarnings            bool
	runFor                                       time.Duration
	tool                                         *tools.Tool // that is run, or nil
}

// traceForms are the values of --emit.
var traceForms = map[string]skepv1.TraceMode{
	"ast": skepv1.TraceMode_TRACE_MODE_EMIT_AST, "ir": skepv1.TraceMode_TRACE_MODE_EMIT_IR, "asm": skepv1.TraceMode_TRACE_MODE_EMIT_ASM,
}

func (a *app) traceCmd() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:                   "trace [FLAGS] [FILE | -e PROGRAM] [ARG...]",
		DisableFlagsInUseLine: true,
		Annotations:           asksOne,
		Short:                 "Ask the kernel anything: run a script of the tracing language",
		Long:                  traceLong,
		Example:               traceExample,
		Args:                  cobra.ArbitraryArgs,
		PreRunE:               func(cmd *cobra.Command, _ []string) error { return f.check(a, cmd) },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := f.request(a, cmd, args)
		if err != nil {
			return err
		}
		ask := func(ctx context.Context, a *app, c *client, _ []string) error { return a.trace(ctx, c, req, &f) }
		return a.withAgentFor(ask, privateFor(req)...)(cmd, args)
	}
	f.register(cmd)
	cmd.AddCommand(a.traceInstallCmd(), a.traceListCmd(), a.traceLogsCmd(), a.traceRemoveCmd())
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if !f.list || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.completeProbes(cmd.Context(), word)
	}
	return cmd
}

func (f *traceFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows FILE is the script's
	flags.StringVarP(&f.expression, "expression", "e", "", "the script itself, instead of a file: `PROGRAM`")
	flags.StringVarP(&f.command, "command", "c", "", "start `CMD` once the script is attached, and end with it")
	flags.Uint32VarP(&f.pid, "pid", "p", 0, "only process `PID`")
	flags.StringVar(&f.container, "container", "", "only processes of this container: a `NAME`, or the beginning of an id")
	flags.BoolVar(&f.dryRun, "dry-run", false, "compile and load the script, attach nothing")
	flags.StringVar(&f.emit, "emit", "", "print a form of the script and run nothing: ast, ir, asm")
	flags.BoolVarP(&f.list, "list", "l", false, "list the probes that match a pattern, or those of the script")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "with -l: the arguments of each probe; else: how long it took to be ready, and what the verifier said")
	flags.BoolVar(&f.unsafe, "unsafe", false, "let the script change things, and run commands here")
	flags.BoolVar(&f.metrics, "metrics", false, "serve the script's maps as metrics of the agent")
	flags.BoolVarP(&f.helperErrors, "helper-errors", "k", false, "warn of memory that cannot be read, and of keys of maps that are not there")
	flags.BoolVar(&f.noWarnings, "no-warnings", false, "show no warnings")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "do not say how many probes are attached")
	flags.DurationVar(&f.runFor, "duration", 0, "end the script after this `TIME`, as Ctrl-C does")
	outputFlag(cmd, &f.output, "text", "text", "json")
	_ = cmd.RegisterFlagCompletionFunc("emit", cobra.FixedCompletions([]string{"ast", "ir", "asm"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func (f *traceFlags) check(a *app, cmd *cobra.Command) error {
	modes := 0
	for _, given := range []bool{f.dryRun, f.emit != "", f.list} {
		if given {
			modes++
		}
	}
	switch {
	case modes > 1:
		return usage("--dry-run, --emit and -l exclude each other")
	case f.emit != "" && traceForms[f.emit] == 0:
		return usage("--emit %q: must be one of ast, ir, asm", f.emit)
	case f.command != "" && modes > 0:
		return usage("-c runs a command, and with --dry-run, --emit and -l nothing runs")
	case f.command != "" && len(a.hosts) > 0:
		return usage("-c starts a command on this host, and -H asks another one")
	case cmd.Flags().Changed("duration") && f.runFor <= 0:
		return usage("--duration %v: must be more than 0", f.runFor)
	case cmd.Flags().Changed("expression") && strings.TrimSpace(f.expression) == "":
		return usage("-e: the script is empty")
	}
	return checkOutput(f.output, "text", "json")
}

// maxCompletions is more than anybody looks at.
const maxCompletions = 500

// completeProbes asks for the probes that begin with a word.
func (a *app) completeProbes(ctx context.Context, word string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if probe(ctx, a.socket) != nil {
		return nil, none
	}
	c := newClient(a.socket, a.timeout)
	defer c.close()
	stream, err := c.Trace(ctx, &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_LIST, Pattern: word + "*"})
	if err != nil {
		return nil, none
	}
	defer stream.Close()
	var names []string
	for stream.Receive() && len(names) < maxCompletions {
		for _, e := range stream.Msg().GetEvents() {
			if p := e.GetListed(); p != nil {
				names = append(names, p.GetName())
			}
		}
	}
	return names, none
}
