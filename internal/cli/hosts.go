// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/reach"
)

// question is what a command asks one agent. It writes to the app that it is
// given, which may be that of one host among several.
type question func(ctx context.Context, a *app, c *client, args []string) error

// A command says in its annotations whether it can ask agents of other hosts,
// or one at a time; the others are about this host.
const (
	reachKey  = "hosts"
	reachMany = "many"
	reachOne  = "one"
)

var (
	asksMany = map[string]string{reachKey: reachMany}
	asksOne  = map[string]string{reachKey: reachOne}
)

// takeHosts reads -H for a command.
func (a *app) takeHosts(cmd *cobra.Command) error {
	certificates := a.cert + a.key + a.ca
	if len(a.hostFlags) == 0 {
		if certificates != "" {
			return usage("--cert, --key and --ca are for hosts that -H names")
		}
		return nil
	}
	hosts, err := reach.ParseAll(a.hostFlags)
	if err != nil {
		return usage("-H %w", err)
	}
	can := cmd.Annotations[reachKey]
	switch {
	case can == "" && cmd.HasParent():
		return usage("%s is about this host only and takes no -H; run it there: ssh HOST %s", cmd.CommandPath(), cmd.CommandPath())
	case can == reachOne && len(hosts) > 1:
		return usage("%s asks one host at a time, and -H names %d", cmd.CommandPath(), len(hosts))
	case cmd.Flags().Changed("socket"):
		return usage("-H and --socket exclude each other: the other host knows its socket")
	}
	tls := slices.ContainsFunc(hosts, func(h reach.Host) bool { return h.TLS })
	switch {
	case tls && (a.cert == "" || a.key == ""):
		return usage("-H https:// needs a certificate: --cert and --key")
	case !tls && certificates != "":
		return usage("--cert, --key and --ca are for https://; ssh has its own keys")
	}
	a.hosts = hosts
	return nil
}

// many is true where answers of several hosts come together.
func (a *app) many() bool { return len(a.hosts) > 1 }

// askHosts asks all hosts at the same time. Each has its own fate: what fails
// is told as soon as it does, and the others go on.
func (a *app) askHosts(ctx context.Context, args []string, ask question) error {
	if !a.many() {
		return named(a.hosts[0], a.askHost(ctx, a.of(a.hosts[0], nil), a.hosts[0], args, ask))
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &merged{out: a.out, err: a.err}
	errs := make([]error, len(a.hosts))
	var all sync.WaitGroup
	for i, h := range a.hosts {
		all.Go(func() {
			on := a.of(h, m)
			errs[i] = a.askHost(inner, on, h, args, ask)
			switch {
			case errors.Is(errs[i], syscall.EPIPE):
				cancel() // nobody reads any more
			case errs[i] != nil && inner.Err() == nil:
				on.tell(errs[i])
			}
		})
	}
	all.Wait()
	return a.verdict(ctx, errs)
}

// askHost asks one. An answer that was cut off is explained by how the
// connection ended.
func (a *app) askHost(ctx context.Context, on *app, h reach.Host, args []string, ask question) error {
	c, err := newRemote(ctx, h, reach.Options{Timeout: a.timeout, Cert: a.cert, Key: a.key, CA: a.ca})
	if err != nil {
		return unreached(err)
	}
	defer c.close()
	err = ask(ctx, on, c, args)
	broken := c.conn.Broken()
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case broken != nil:
		return unreached(fmt.Errorf("the connection was lost: %w", broken))
	case isFrozen(err):
		return fail(exitNoAgent, "no answer within %v; a longer --timeout waits longer", a.timeout)
	case isNonsense(err):
		return fail(exitNoAgent, "the answer makes no sense: %w; is it an agent?", err)
	}
	return err
}

// isFrozen is true where not even a ping was answered: net/http has no other sign of it
// than the text, which no agent can have sent.
func isFrozen(err error) bool {
	return !connect.IsWireError(err) && strings.Contains(err.Error(), "http2: client connection lost")
}

// isNonsense is true for what the protocol does not allow, and no agent said.
func isNonsense(err error) bool {
	var e *connect.Error
	if !errors.As(err, &e) || connect.IsWireError(err) {
		return false
	}
	switch e.Code() {
	case connect.CodeUnavailable, connect.CodeInternal, connect.CodeUnknown, connect.CodeInvalidArgument:
		return true
	}
	return false
}

// unreached is the error of a host that could not be reached; what skep said
// there keeps its exit code.
func unreached(err error) error {
	var e *reach.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Status == exitRefused || e.Refused:
		return &exitError{exitRefused, err}
	}
	return &exitError{exitNoAgent, err}
}

// named says whose error it is, of one that says something.
func named(h reach.Host, err error) error {
	if err == nil || message(err) == "" || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", h, err)
}

// tell prints the error of one host among several.
func (a *app) tell(err error) {
	if text := message(err); text != "" {
		fmt.Fprintln(a.err, "skep: "+text)
	}
}

// verdict is the error of all: each has been told. Its code is theirs, if they
// agree on one.
func (a *app) verdict(ctx context.Context, errs []error) error {
	code, failed := exitOK, 0
	for _, err := range errs {
		switch {
		case err == nil:
			continue
		case errors.Is(err, syscall.EPIPE):
			return err
		case ctx.Err() != nil && (errors.Is(err, context.Canceled) || isCanceled(err)):
			return context.Canceled
		}
		if failed++; failed == 1 {
			code = a.codeOf(err)
		} else if a.codeOf(err) != code {
			code = exitFailed
		}
	}
	if failed == 0 {
		return nil
	}
	return &exitError{code, errQuiet}
}
