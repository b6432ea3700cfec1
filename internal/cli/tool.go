// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/tools"
)

const toolLong = `Run a named tool: a script of the tracing language that comes with skep. Without
a name the tools are listed; --cat prints one's script. What follows the name are
the tool's own arguments, in the order in which --cat shows them as options.

Tools that show what happens take role operate, those that show other people's
secrets or take any probe take role admin.

Exit status as in "skep trace --help".`

const toolExample = `  # What there is
  skep tool

  # Every file that is opened, for ten seconds
  sudo skep tool --duration 10s opensnoop

  # How it does that
  skep tool --cat opensnoop`

func (a *app) toolCmd() *cobra.Command {
	f := traceFlags{}
	show := false
	cmd := &cobra.Command{
		Use:         "tool [FLAGS] [NAME [ARG...]]",
		Annotations: asksOne,
		Short:       "List and run the named tools",
		Long:        toolLong,
		Example:     toolExample,
		Args:        cobra.ArbitraryArgs,
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(f.output, "text", "json") },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listTools()
			}
			tool, err := tools.Get(args[0])
			if err != nil {
				return usage("%w; skep tool lists them", err)
			}
			if show {
				return a.print(tool.Script)
			}
			req := &skepv1.TraceRequest{Mode: skepv1.TraceMode_TRACE_MODE_RUN, Tool: tool.Name, Args: args[1:], Pid: f.pid, Container: f.container}
			if f.runFor > 0 {
				req.Timeout = durationpb.New(f.runFor)
			}
			ask := func(ctx context.Context, a *app, c *client, _ []string) error { return a.trace(ctx, c, req, &f) }
			return a.withAgentFor(ask, privateFor(req)...)(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows NAME is the tool's
	flags.BoolVar(&show, "cat", false, "print the tool's script and run nothing")
	flags.Uint32VarP(&f.pid, "pid", "p", 0, "only process `PID`")
	flags.StringVar(&f.container, "container", "", "only processes of this container: a `NAME`, or the beginning of an id")
	flags.DurationVar(&f.runFor, "duration", 0, "end after this `TIME`, as Ctrl-C does")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "do not say how many probes are attached")
	outputFlag(cmd, &f.output, "text", "text", "json")
	return cmd
}

func (a *app) listTools() error {
	all, err := tools.All()
	if err != nil {
		return err
	}
	t := &table{columns: []column{{title: "TOOL"}, {title: "ROLE"}, {title: "WHAT IT DOES"}}}
	for _, tool := range all {
		t.add(text(tool.Name), text(string(tool.Role)), text(tool.Summary))
	}
	return a.print(string(t.render(nil, a.screen, a.width())))
}
