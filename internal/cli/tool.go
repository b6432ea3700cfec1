// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/tools"
)

const toolLong = `Run a named tool: a script of the tracing language that comes with skep. Without
a name the tools are listed. "skep NAME" is "skep tool NAME", unless skep has a
verb of that name: "skep trace" is the verb.

Tools that show what happens take role operate, those that show other people's
secrets or take any probe take role admin.

All tools have the same options; what a tool takes besides is among its help.

Exit status as in "skep trace --help".`

const toolExample = `  # What there is
  skep tool

  # Every file that is opened by programs named sshd, for ten seconds
  sudo skep tool opensnoop --comm sshd --duration 10s

  # How it does that
  skep tool opensnoop --cat`

func (a *app) toolCmd() *cobra.Command {
	all, f := allTools(), newToolFlags()
	cmd := &cobra.Command{
		Use: "tool [NAME [FLAGS] [ARG...]]", DisableFlagsInUseLine: true, Annotations: asksOne, Short: "List and run the named tools", Long: toolLong, Example: toolExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownTool(args[0])
		},
		RunE: func(*cobra.Command, []string) error { return a.listTools(all) },
	}
	for _, tool := range all {
		cmd.AddCommand(a.oneToolCmd(tool, f))
	}
	return cmd
}

// unknownTool says which tool was probably meant.
func unknownTool(name string) error {
	if near := tools.Near(name); near != "" {
		return usage("there is no tool %q; did you mean %s?", name, near)
	}
	return usage("there is no tool %q; skep tool lists them", name)
}

// addTools makes "skep NAME" of "skep tool NAME", unless there is a verb of that name.
func (a *app) addTools(root *cobra.Command, named []*tools.Tool) {
	f := newToolFlags()
	for _, tool := range named {
		taken := slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == tool.Name })
		if taken {
			continue
		}
		cmd := a.oneToolCmd(tool, f)
		cmd.Hidden = true // "skep tool" lists them
		root.AddCommand(cmd)
	}
	root.Args, root.ValidArgsFunction = a.unknownVerb, completeTool
}

// unknownVerb says which verb or tool was probably meant.
func (a *app) unknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root = a.root(nil) // a later argument may have named one
	text := fmt.Sprintf("unknown command %q for %q", args[0], root.CommandPath())
	root.SuggestionsMinimumDistance = 2 // as cobra has it where it looks itself
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%s\n\nDid you mean this?\n\t%s\n", text, strings.Join(near, "\n\t"))
	}
	if near := tools.Near(args[0]); near != "" {
		return fmt.Errorf("%s; did you mean the tool %s?", text, near)
	}
	return errors.New(text)
}

// toolFlags are the options of every tool: the same flags for all commands, of which one
// runs, so that starting skep does not make a thousand.
type toolFlags struct {
	set      *pflag.FlagSet
	trace    traceFlags
	comm     string
	uid, top uint32
	interval time.Duration
	cat      bool
}

// oneToolCmd runs a tool. All that is of this tool comes from its header.
func (a *app) oneToolCmd(tool *tools.Tool, f *toolFlags) *cobra.Command {
	use := tool.Name + " [FLAGS]"
	for _, o := range tool.Options {
		if name := strings.ToUpper(o.Name); o.Required {
			use += " " + name
		} else {
			use += " [" + name + "]"
		}
	}
	cmd := &cobra.Command{
		Use: use, DisableFlagsInUseLine: true, Annotations: asksOne, Short: tool.Summary, Long: toolHelp(tool), Example: "  sudo " + tool.Example,
		Args: func(_ *cobra.Command, args []string) error {
			if f.cat {
				return nil
			}
			_, err := tool.Arguments(args)
			return err
		},
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.check(cmd, tool) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.cat {
				return a.print(tool.Script)
			}
			f.trace.tool = tool
			req := f.request(cmd, tool, args)
			ask := func(ctx context.Context, a *app, c *client, _ []string) error { return a.trace(ctx, c, req, &f.trace) }
			return a.withAgentFor(ask, privateFor(req)...)(cmd, args)
		},
	}
	cmd.Flags().AddFlagSet(f.set)
	return cmd
}

func newToolFlags() *toolFlags {
	first := &cobra.Command{} // whose flags the others share
	f := &toolFlags{set: first.Flags()}
	flags := f.set
	flags.Uint32VarP(&f.trace.pid, "pid", "p", 0, "only process `PID`")
	flags.StringVar(&f.comm, "comm", "", "only threads of this `NAME`, as the kernel keeps it: its first 15 bytes")
	flags.Uint32Var(&f.uid, "uid", 0, "only processes of the user with this `NUMBER`")
	flags.StringVar(&f.trace.container, "container", "", "only processes of this container: a `NAME`, or the beginning of an id")
	flags.Uint32Var(&f.top, "top", 0, "show the `N` greatest entries of a map (default: all, at most 20 while the tool runs)")
	flags.DurationVar(&f.interval, "interval", 0, "print maps and begin them again each `TIME` (default: as the tool says, or once at the end)")
	flags.DurationVar(&f.trace.runFor, "duration", 0, "end after this `TIME`, as Ctrl-C does")
	flags.BoolVar(&f.trace.dryRun, "dry-run", false, "compile and load the tool, attach nothing")
	flags.BoolVar(&f.cat, "cat", false, "print the tool's script and run nothing")
	flags.BoolVarP(&f.trace.quiet, "quiet", "q", false, "leave out the line with the names of the columns")
	flags.BoolVarP(&f.trace.verbose, "verbose", "v", false, "say how long it took to be ready, and what the verifier said")
	outputFlag(first, &f.trace.output, "table", "table", "json")
	return f
}

// common are the options as the agent reads them.
func (f *toolFlags) common(cmd *cobra.Command) map[string]string {
	options := map[string]string{}
	for _, name := range []string{"comm", "uid", "top", "interval"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed {
			options[name] = flag.Value.String()
		}
	}
	return options
}

func (f *toolFlags) check(cmd *cobra.Command, tool *tools.Tool) error {
	if _, err := tools.ParseOptions(f.common(cmd)); err != nil {
		return usage("--%s", strings.TrimPrefix(err.Error(), "option "))
	}
	for _, name := range []string{"pid", "comm", "uid", "container"} {
		if tool.Filter.None != "" && cmd.Flags().Changed(name) {
			return usage("%s takes no --%s: %s", tool.Name, name, tool.Filter.None)
		}
	}
	switch flags := cmd.Flags(); {
	case flags.Changed("duration") && f.trace.runFor <= 0:
		return usage("--duration %v: must be more than 0", f.trace.runFor)
	case flags.Changed("pid") && f.trace.pid == 0:
		return usage("--pid 0: there is no such process")
	case flags.Changed("container") && f.trace.container == "":
		return usage("--container: the name is empty")
	}
	return checkOutput(f.trace.output, "table", "json")
}

func (f *toolFlags) request(cmd *cobra.Command, tool *tools.Tool, args []string) *skepv1.TraceRequest {
	req := &skepv1.TraceRequest{
		Mode: f.trace.mode(), Tool: tool.Name, Args: args, Pid: f.trace.pid, Container: f.trace.container, Options: f.common(cmd),
	}
	if f.trace.runFor > 0 {
		req.Timeout = durationpb.New(f.trace.runFor)
	}
	return req
}

// toolHelp is what the header of a tool says.
func toolHelp(tool *tools.Tool) string {
	var b strings.Builder
	paragraph := func(text string) { b.WriteString(wrapped(text, 80) + "\n") }
	paragraph(tool.Summary)
	for _, note := range tool.Notes {
		b.WriteString("\n")
		paragraph(strings.ToUpper(note[:1]) + note[1:])
	}
	if tool.Filter.None != "" {
		b.WriteString("\n")
		paragraph("It takes no --pid, --comm, --uid and --container: " + tool.Filter.None + ".")
	}
	b.WriteString("\n")
	for _, o := range tool.Options {
		standard := "required"
		if !o.Required {
			standard = "default " + o.Default
		}
		paragraph(fmt.Sprintf("%s: %s (%s).", strings.ToUpper(o.Name), o.Text, standard))
	}
	if len(tool.Columns) > 0 {
		names := make([]string, len(tool.Columns))
		for i, c := range tool.Columns {
			names[i] = c.Name
		}
		paragraph("Columns: " + strings.Join(names, ", ") + ".")
	}
	for _, m := range tool.Maps {
		paragraph("Map: " + describeMap(m) + ".")
	}
	fmt.Fprintf(&b, "\nIt takes role %s. Exit status as in \"skep trace --help\".", tool.Role)
	return b.String()
}

func describeMap(m tools.Map) string {
	text := m.Name
	if len(m.Keys) > 0 {
		text += " for each " + strings.Join(m.Keys, ", ")
	}
	if m.Histogram {
		text += ", a histogram"
	}
	if m.Unit != "" {
		text += " (" + m.Unit + ")"
	}
	return text
}

// wrapped breaks text into lines of so many columns.
func wrapped(text string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}

func (a *app) listTools(all []*tools.Tool) error {
	t := &table{columns: []column{{title: "TOOL"}, {title: "ROLE"}, {title: "WHAT IT DOES"}}}
	for _, tool := range all {
		t.add(text(tool.Name), text(string(tool.Role)), text(tool.Summary))
	}
	return a.print(string(t.render(nil, a.screen, a.width())))
}

// toolsOf are the tools whose names are among arguments.
func toolsOf(args []string) (named []*tools.Tool) {
	for _, word := range args {
		if tool, err := tools.Get(word); err == nil && !slices.ContainsFunc(named, func(t *tools.Tool) bool { return t.Name == word }) {
			named = append(named, tool)
		}
	}
	return named
}

// allTools are the tools that are built in, whose headers a test has read.
func allTools() []*tools.Tool {
	all, err := tools.All()
	if err != nil {
		panic(errors.Join(errors.New("the tools that are built in"), err))
	}
	return all
}
