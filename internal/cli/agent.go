// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

// withAgent makes a command's RunE from a function that needs an agent: those
// of the hosts that were named, the one that runs here or, for root, a private one.
func (a *app) withAgent(ask question) func(*cobra.Command, []string) error {
	return a.withAgentFor(ask)
}

// withAgentFor is withAgent with further arguments for a private agent.
func (a *app) withAgentFor(ask question, private ...string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		if len(a.hosts) > 0 {
			return a.askHosts(ctx, args, ask)
		}
		absent := probe(ctx, a.socket)
		if absent == nil {
			return a.withRunning(ctx, args, ask)
		}
		if !a.mayStart(absent) {
			return a.explainAbsent(absent)
		}
		p, err := a.startPrivate(ctx, private...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		return ask(ctx, a, p.client, args)
	}
}

// withRunningAgent is withAgent for commands that make no sense with an agent
// that ends with them.
func (a *app) withRunningAgent(ask question) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if len(a.hosts) > 0 {
			return a.askHosts(cmd.Context(), args, ask)
		}
		if err := probe(cmd.Context(), a.socket); err != nil {
			return a.explainAbsent(err)
		}
		return a.withRunning(cmd.Context(), args, ask)
	}
}

func (a *app) withRunning(ctx context.Context, args []string, ask question) error {
	c := newClient(a.socket, a.timeout)
	defer c.close()
	return ask(ctx, a, c, args)
}

// nobody is true for a dial error that means that no agent listens.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// mayStart: a socket that was named and does not answer is a mistake to
// report, not a wish for another agent.
func (a *app) mayStart(absent error) bool {
	return nobody(absent) && !a.socketSet && os.Geteuid() == 0
}

func (a *app) explainAbsent(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fail(exitRefused, "open the agent's socket %s: permission denied; "+
			"run as root, or become a member of the group \"skep\" and log in again", a.socket)
	case !nobody(err):
		return fail(exitNoAgent, "reach the agent at %s: %w", a.socket, err)
	case os.Geteuid() != 0 && !a.socketSet:
		return fail(exitNoAgent, "no agent answers at %s (%s); start it (skepd run), "+
			"or run this command with sudo to get a private agent for its duration", a.socket, reason(err))
	}
	return fail(exitNoAgent, "no agent answers at %s (%s); start it (skepd run), "+
		"or name its socket with --socket", a.socket, reason(err))
}

// reason is the last link of an error chain: "connection refused".
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return fmt.Sprint(err)
}
