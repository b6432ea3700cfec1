// SPDX-License-Identifier: Apache-2.0

// Package cli is the skep command.
//
// Problem: people read what it prints on a terminal, programs read it through
// a pipe, and much of it was written by whoever ran a process on the host.
//
// Mechanism: each command asks the agent over its unix socket and renders the
// answer as text or JSON. Where no agent runs and the caller is root, a
// private one lives for as long as the command.
//
// Invariants: nothing from a record reaches a terminal but through quote or
// event.Printable; colour is for terminals only; the exit codes are those in
// exit.go.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/reach"
)

// app is what the commands share: the streams, the global flags and the
// surroundings that decide how output looks.
type app struct {
	out     io.Writer
	err     io.Writer
	tty     *os.File // what out was, whose size is asked
	version string
	screen  screen
	// errScreen is what err can show.
	errScreen screen

	socket    string
	socketSet bool
	timeout   time.Duration
	running   bool
	// asBpftrace tells that skep was called by that name.
	asBpftrace bool

	hostFlags []string
	hosts     []reach.Host
	// files for hosts by https
	cert, key, ca string
	// host is whose answers these are, if hosts were named; merged is where
	// they go, if several were.
	host   string
	merged *merged
}

// Main runs skep with its arguments, of which the first is the name that it was called by,
// and returns its exit code. Called bpftrace it takes that program's arguments.
func Main(version string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Without a handler a closed pipe on stdout would kill the process before
	// a private agent is stopped. With one, writes fail with EPIPE.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	a := &app{out: os.Stdout, err: os.Stderr, tty: os.Stdout, version: version}
	a.screen, a.errScreen = newScreen(a.tty, os.Getenv), newScreen(os.Stderr, os.Getenv)
	name, args := filepath.Base(args[0]), args[1:]
	if a.asBpftrace = name == bpftraceName; a.asBpftrace {
		call, code, done := a.dropIn(args)
		if done {
			return code
		}
		args = call
	}
	root := a.root(args)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if ctx.Err() != nil && isCanceled(err) {
		return exitInterrupted
	}
	return a.report(cmd, err)
}

func isCanceled(err error) bool {
	return errors.Is(err, context.Canceled) || connect.CodeOf(err) == connect.CodeCanceled
}

// root is skep and its commands. To make them all takes longer than most of them do: if
// arguments name some, there are only these, see [app.verbs]; with nil there are all.
func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "skep",
		Short:         "See every process and connection on this host",
		Long:          rootLong,
		Example:       rootExample,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       a.version,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.running = true
			a.socketSet = cmd.Flags().Changed("socket") || os.Getenv(socketEnv) != ""
			if a.timeout <= 0 {
				return usage("--timeout %v: must be more than 0", a.timeout)
			}
			return a.takeHosts(cmd)
		},
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", defaultSocket(), "unix socket of the agent (or $"+socketEnv+")")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "give up on an answer of the agent after this long; streams are not limited")
	flags.StringArrayVarP(&a.hostFlags, "hosts", "H", nil, "ask the agent of another host: `ssh://[USER@]HOST[:PORT]`, https://HOST[:PORT], or @FILE with one a line; repeatable")
	flags.StringVar(&a.cert, "cert", "", "for -H https://: file of your certificate")
	flags.StringVar(&a.key, "key", "", "for -H https://: file of its key")
	flags.StringVar(&a.ca, "ca", "", "for -H https://: file of the authorities of agents (default: those of the system)")
	for _, name := range []string{"cert", "key", "ca"} {
		_ = root.MarkPersistentFlagFilename(name) // as above
	}
	_ = root.MarkPersistentFlagFilename("socket") // fails only for a flag that is not there
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.addVerbs(root, args)
	a.helpOf(root)
	linuxShells(root)
	return root
}

// Commands are skep and all its commands, for its manual: it does not depend on where it is
// written.
func Commands() *cobra.Command {
	root := (&app{out: io.Discard}).root(nil)
	root.PersistentFlags().Lookup("socket").DefValue = "/run/skep/skep.sock"
	return root
}

// verbs make the commands by their names, but for the tools.
func (a *app) verbs() map[string]func() *cobra.Command {
	return map[string]func() *cobra.Command{
		"observe": a.observeCmd, "ps": a.psCmd, "connections": a.connectionsCmd, "top": a.topCmd, "trace": a.traceCmd, "tool": a.toolCmd,
		"export": a.exportCmd, "status": a.statusCmd, "doctor": a.doctorCmd, "token": a.tokenCmd, "whoami": a.whoamiCmd, "version": a.versionCmd,
		"serve": a.serveCmd, "up": a.upCmd, "install": a.installCmd, "uninstall": a.uninstallCmd, "sysdump": a.sysdumpCmd,
		"config": a.configCmd, "demo": a.demoCmd, "demo-stage": a.demoStageCmd, "stdio": a.stdioCmd,
	}
}

// addVerbs adds the verbs and tools whose names are among arguments; if none is, all verbs.
// Tools without "tool" before them are never listed, so that these are all there for nil only.
func (a *app) addVerbs(root *cobra.Command, args []string) {
	verbs, named := a.verbs(), toolsOf(args)
	if args == nil {
		named = allTools()
	}
	for _, word := range args {
		if verb := verbs[word]; verb != nil {
			root.AddCommand(verb())
			delete(verbs, word) // once
		}
	}
	if args == nil || !root.HasSubCommands() && len(named) == 0 {
		for _, verb := range verbs {
			root.AddCommand(verb())
		}
	}
	a.addTools(root, named)
}

// linuxShells leaves out the completion of a shell that nobody asked for, and refuses one that
// there is not.
func linuxShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Use, c.DisableFlagsInUseLine = "completion SHELL", true
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // makes cobra look at the arguments
		}
		for _, shell := range c.Commands() {
			if shell.Name() == "powershell" {
				c.RemoveCommand(shell)
			}
		}
	}
}

const rootLong = `skep asks the skep agent (skepd) of this host what happens on it: every
process, connection, DNS query and more, with who did it. It runs scripts of the
tracing language, and named tools: "skep tool" lists them, "skep opensnoop" is one.

The agent is reached through its unix socket. Who may do what is decided by
the agent: root may do all, members of the groups "skep" and "skep-operators"
may look.

With -H the agents of other hosts are asked, all at once, through ssh and as the
user who logs in there, or by https with certificates; see docs/hosts.md. What
they answer is marked with the host: a line above a page, a column of a stream,
the field "host" in JSON. A host that fails or does not answer within --timeout
is told on the standard error, and keeps none of the others waiting.

If no agent runs, root gets a private one that lives for as long as the
command and leaves nothing behind.

Exit status:

    0    success; also a stream that was ended by Ctrl-C or a closed pipe
    1    the command failed
    2    wrong usage: an unknown command or flag, or a value that is not valid
    3    no agent: none runs, or it went away
    4    refused: the caller lacks the role or the right
    130  interrupted before there was an answer

With several hosts: 0 if all have answered, else the status that all which have
failed have in common, else 1.

Environment:

    SKEP_SOCKET  default of --socket
    NO_COLOR     no colour, even on a terminal`

const rootExample = `  # What happens right now
  sudo skep observe --follow

  # Who runs, as a tree, and who talks to whom
  skep ps --tree
  skep connections

  # Which files sshd opens, and your own questions
  sudo skep opensnoop --comm sshd
  sudo skep trace -e 'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }'

  # Can the agent run here, and how well
  skep doctor

  # What happens on two hosts
  skep -H ssh://web-1 -H ssh://ops@db-1:2222 observe -f`
