// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skep-io/skep/internal/event"
)

// The exit codes of skep, as its help documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNoAgent     = 3
	exitRefused     = 4
	exitInterrupted = 130
)

// exitError is an error with an exit code. An empty message is not printed:
// the command has said all there is.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func fail(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error { return fail(exitUsage, format, args...) }

// flagError says what a flag takes, where pflag would name the function of Go that refused.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	takes := map[string]string{
		"uint32": "a whole number from 0 to 4294967295", "int": "a whole number", "duration": "a duration such as 90s or 5m", "bool": "true or false",
	}[bad.GetFlag().Value.Type()]
	if takes == "" {
		return err
	}
	return usage("--%s %q: must be %s", bad.GetFlag().Name, bad.GetValue(), takes)
}

// errQuiet fails a command that has already told why on its output.
var errQuiet = errors.New("")

// report prints an error and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil || readerGone(err) {
		return exitOK
	}
	code := a.codeOf(err)
	if msg := message(err); msg != "" {
		prefix := "skep: "
		if a.asBpftrace {
			prefix = "ERROR: "
		}
		fmt.Fprintln(a.err, prefix+msg)
	}
	if code == exitUsage && !a.asBpftrace {
		fmt.Fprintf(a.err, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

// readerGone says whether whoever read the output, such as head, has had enough. A pipe to
// the agent that broke is an error like any other.
func readerGone(err error) bool {
	var remote *connect.Error
	return errors.Is(err, syscall.EPIPE) && !errors.As(err, &remote)
}

func (a *app) codeOf(err error) int {
	var e *exitError
	switch {
	case errors.As(err, &e):
		return e.code
	case !a.running: // cobra refused the arguments before any command ran
		return exitUsage
	}
	switch connect.CodeOf(err) {
	case connect.CodePermissionDenied, connect.CodeUnauthenticated:
		return exitRefused
	case connect.CodeInvalidArgument:
		return exitUsage
	case connect.CodeUnavailable:
		return exitNoAgent
	}
	return exitFailed
}

// maxMessageBytes bounds what an agent can make us say.
const maxMessageBytes = 4 << 10

// message is the error's text without the code names of the protocol, each
// line safe to print.
func message(err error) string {
	text := err.Error()
	var remote *connect.Error
	if errors.As(err, &remote) {
		text = strings.Replace(text, remote.Error(), remote.Message(), 1)
		if remote.Code() == connect.CodeDeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
			text = "the agent did not answer in time; is it stopped or overloaded? A longer --timeout waits longer"
		}
	}
	if len(text) > maxMessageBytes {
		text = text[:maxMessageBytes] + "..."
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = event.Printable(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}
