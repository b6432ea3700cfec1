// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/tools"
)

// maxScriptBytes is more than the agent takes.
const maxScriptBytes = 1 << 20

func (f *traceFlags) request(a *app, cmd *cobra.Command, args []string) (*skepv1.TraceRequest, error) {
	req := &skepv1.TraceRequest{Mode: f.mode(), Pid: f.pid, Container: f.container, Unsafe: f.unsafe, Arguments: f.verbose, Metrics: f.metrics, HelperErrors: f.helperErrors, Settings: traceSettings(os.Environ())}
	if dir, err := os.Getwd(); err == nil {
		req.Directory = dir
	}
	if f.runFor > 0 {
		req.Timeout = durationpb.New(f.runFor)
	}
	var err error
	switch {
	case f.expression != "":
		req.Script, req.Args = f.expression, args
	case f.list:
		return a.listRequest(cmd.Context(), req, args)
	default:
		err = a.readScript(cmd.Context(), req, cmd.InOrStdin(), args)
	}
	return req, err
}

// traceSettings are the settings of the environment: BPFTRACE_MAX_STRLEN=64 and its like.
// Those that tell bpftrace about its own debugging, and where its files are, are none here.
func traceSettings(environment []string) map[string]string {
	settings := map[string]string{}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		name, ok := strings.CutPrefix(name, "BPFTRACE_")
		switch name = strings.ToLower(name); name {
		case "btf", "debug_output", "kernel_build", "kernel_source", "vmlinux", "color":
		default:
			if ok {
				settings[name] = value
			}
		}
	}
	return settings
}

func (f *traceFlags) mode() skepv1.TraceMode {
	switch {
	case f.dryRun:
		return skepv1.TraceMode_TRACE_MODE_DRY_RUN
	case f.list:
		return skepv1.TraceMode_TRACE_MODE_LIST
	case f.emit != "":
		return traceForms[f.emit]
	}
	return skepv1.TraceMode_TRACE_MODE_RUN
}

// listRequest: a pattern, or the file of a script whose probes are meant.
func (a *app) listRequest(ctx context.Context, req *skepv1.TraceRequest, args []string) (*skepv1.TraceRequest, error) {
	switch {
	case len(args) > 1:
		return nil, usage("-l takes one pattern; quote it, so that the shell leaves it alone")
	case len(args) == 1 && strings.HasSuffix(args[0], ".bt"):
		err := a.readScript(ctx, req, nil, args)
		if !a.asBpftrace || !errors.Is(err, os.ErrNotExist) {
			return req, err
		}
		fmt.Fprintf(a.err, "WARNING: It appears that '%[1]s' is a filename but the file does not exist. Treating '%[1]s' as a search pattern.\n", args[0])
	}
	req.Pattern = "*"
	if len(args) == 1 && args[0] != "" {
		req.Pattern = args[0]
	}
	return req, nil
}

// readScript reads the file that the first argument names, or else stdin, until ctx ends.
func (a *app) readScript(ctx context.Context, req *skepv1.TraceRequest, stdin io.Reader, args []string) error {
	from := stdin
	req.Name = "stdin"
	if len(args) > 0 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			if a.asBpftrace {
				return &openError{args[0], err}
			}
			return fmt.Errorf("read the script: %w", err)
		}
		defer file.Close()
		from, req.Name = file, args[0]
	}
	if file, ok := from.(*os.File); ok && from == stdin && isTerminal(file) {
		fmt.Fprintln(a.err, "skep: reading a script from the terminal: Ctrl-D ends it")
	}
	text, err := readAll(ctx, from, maxScriptBytes)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("read the script: %w", err)
	case len(text) == maxScriptBytes:
		return fmt.Errorf("read the script: %s has more than %s, is it a script?", req.Name, formatBytes(maxScriptBytes-1))
	case len(strings.TrimSpace(string(text))) == 0:
		return fmt.Errorf("read the script: %s is empty", req.Name)
	}
	req.Script = strings.ToValidUTF8(string(text), "\ufffd")
	if len(args) > 1 {
		req.Args = args[1:]
	}
	return nil
}

// readAll reads what there is, at most so many bytes. Nobody can end a read from a terminal: if
// ctx ends it is left alone.
func readAll(ctx context.Context, from io.Reader, most int64) (text []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, err = io.ReadAll(io.LimitReader(from, most))
	}()
	select {
	case <-done:
		return text, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// identityWords are the builtins that an agent with sensors tells of.
var identityWords = regexp.MustCompile(`\b(container|pod|exe|ancestors|exec_id)\b`)

// privateFor is what a private agent for a request is started with: one that only runs
// scripts is ready in a fraction of the time, but knows neither processes nor containers.
func privateFor(req *skepv1.TraceRequest) []string {
	if req.GetContainer() != "" || identityWords.MatchString(req.GetScript()) || req.GetTool() != "" && toolIdentifies(req.GetTool()) {
		return nil
	}
	return []string{"--scripts"}
}

func toolIdentifies(name string) bool {
	tool, err := tools.Get(name)
	return err != nil || identityWords.MatchString(tool.Script)
}
