// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// defaultLast is how much of the past is shown where nothing else was asked
// for, as many as hubble observe shows.
const defaultLast = 20

type observeFlags struct {
	filterFlags
	last    uint32
	since   string
	until   string
	follow  bool
	maxRate uint32
	output  string
}

const observeLong = `Show records of what happened on this host: processes that started and ended,
connections that were made and closed, names that were asked for, files that
were changed.

Without --last, --since, --until or --follow the last 20 matching records are
shown, as hubble observe does. What memory does not hold any more comes from the
agent's disk log. --follow goes on with what happens from now; alone it
shows the last 20 first, as tail does (--last 0: none). A private agent has no
past, so with one skep waits for what happens: for --last N records (20 if not
given), or with --follow until Ctrl-C; --since and --until need an agent that runs.
The standard error says where the past that is known begins after --since, and
which of the kinds asked for the agent does not watch.

` + whenHelp + `

` + filterHelp + `

Output (-o):

    compact  one aligned line per record; colour on a terminal
    table    fixed columns with a header
    json     one JSON object per line, all fields; empty ones are left out

Where records were lost a line says how many, of which kind, and where. What
--max-rate leaves out is counted, in compact and table on a line of its own
and in json on the standard error.

A record on which --where comes to no result (it takes too many steps, or an index
is out of range) is left out; how many, and why, is told on the standard error.

Exit status: 0 when the past was shown, or on Ctrl-C, or when the reader of a
pipe has gone; 1 when nothing was shown and --where came to no result; 3 when
the agent ends first. Others as in "skep --help".`

const observeExample = `  # Everything, live
  skep observe -f

  # What root executed in the last five minutes
  skep observe --kind exec --uid root --since 5m

  # What a container did yesterday morning
  skep observe --container web --since 2026-11-24T08:00 --until 2026-11-24T12:00

  # Failed connections to a network, live only
  skep observe -f --last 0 --kind connect --addr 10.0.0.0/8 --where 'connection.error_name != ""'

  # Which processes asked for a name, and what they got
  skep observe --kind dns --where 'dns.name == "example.org"'

  # Who sends signals to whom, mounts, traces, enters namespaces
  skep observe -f --kind host

  # Who changes what below /etc (sensors.files.paths of skep.yaml has it)
  skep observe -f --kind file --path /etc

  # Everything below sshd, for a program to read
  skep observe -f --ancestor-exe sshd -o json | jq .exec.args`

func (a *app) observeCmd() *cobra.Command {
	var f observeFlags
	cmd := &cobra.Command{
		Use:         "observe",
		Annotations: asksMany,
		Short:       "Show what happens: the live stream and the recent past",
		Long:        observeLong,
		Example:     observeExample,
		Args:        noArgs,
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(f.output, "compact", "json", "table") },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := f.filter(a)
		if err != nil {
			return err
		}
		req, err := f.request(filter, cmd.Flags().Changed("last"), time.Now())
		if err != nil {
			return err
		}
		with := a.withAgent
		if f.since != "" || f.until != "" {
			with = a.withRunningAgent // a private one has no past
		}
		return with(func(ctx context.Context, a *app, c *client, _ []string) error {
			limit := 0
			if c.private {
				// It has no past: wait for as many records as were asked for.
				if !req.Follow {
					limit = int(req.Last)
				}
				req.Follow = true
			}
			if req.Follow { // else whoever waits for what nobody watches would not know
				a.tellUnseen(ctx, c, req)
			}
			err := a.observe(ctx, c, req, f.output, limit)
			if err == nil && !req.Follow {
				a.tellUnseen(ctx, c, req)
			}
			return err
		})(cmd, args)
	}
	f.registerKinds(cmd)
	f.register(cmd)
	f.registerAddresses(cmd)
	f.registerPaths(cmd)
	flags := cmd.Flags()
	flags.Uint32VarP(&f.last, "last", "n", 0, "of the past, show at most the last `N` matching records")
	flags.StringVar(&f.since, "since", "", "of the past, show what is at most this old, or happened since this time")
	flags.StringVar(&f.until, "until", "", "of the past, show what happened until this time")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what happens from now")
	flags.Uint32Var(&f.maxRate, "max-rate", 0, "of what happens from now, show at most `N` records a second and count the rest (0: all)")
	outputFlag(cmd, &f.output, "compact", "compact", "json", "table")
	return cmd
}

func (f *observeFlags) request(filter *skepv1.Filter, lastSet bool, now time.Time) (*skepv1.ObserveRequest, error) {
	req := &skepv1.ObserveRequest{Filter: filter, Last: f.last, Follow: f.follow, MaxRate: f.maxRate}
	since, until, err := parsePeriod(f.since, f.until, now)
	switch {
	case err != nil:
		return nil, err
	case until != nil && f.follow:
		return nil, usage("--until and --follow exclude each other")
	}
	switch {
	case since != nil && since.at.IsZero():
		req.Since = durationpb.New(since.age)
	case since != nil:
		req.From = timestamppb.New(since.at)
	}
	if until != nil {
		req.Until = timestamppb.New(until.time(now))
	}
	if !lastSet && f.since == "" {
		req.Last = defaultLast
	}
	return req, nil
}

// observe copies the stream to the output until it ends, or until limit records if that is
// not 0.
func (a *app) observe(ctx context.Context, c *client, req *skepv1.ObserveRequest, output string, limit int) error {
	stream, err := c.Observe(ctx, req)
	if err != nil {
		return endOfStream(ctx, err)
	}
	defer stream.Close()
	w := bufio.NewWriterSize(a.out, 64<<10)
	p := a.newPrinter(output)
	if err := a.heading(p.header(nil)); err != nil {
		return err
	}
	if err := a.copyRecords(stream, w, p, limit); err != nil {
		return endOfStream(ctx, err)
	}
	if limit > 0 {
		return nil
	}
	if req.GetFollow() && ctx.Err() == nil {
		return fail(exitNoAgent, "the agent ended the stream")
	}
	return nil
}

// endOfStream: the user's Ctrl-C is how a stream is meant to end.
func endOfStream(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if connect.CodeOf(err) == connect.CodeUnavailable || brokenOff(err) {
		return fail(exitNoAgent, "the agent went away: %w", err)
	}
	return err
}

// brokenOff says whether the connection ended in the middle of what the agent said, as it
// does when the agent is killed.
func brokenOff(err error) bool {
	return !connect.IsWireError(err) && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// printer renders the messages of a stream.
type printer interface {
	header(dst []byte) []byte
	record(dst []byte, r *skepv1.Record) []byte
	sampledOut(dst []byte, n uint64) []byte
}

func (a *app) newPrinter(output string) printer {
	switch output {
	case "json":
		return jsonPrinter{a}
	case "table":
		return &recordTable{newEssence(a.screen), a.users(), a.host}
	}
	c := newCompact(a.screen)
	if a.many() {
		c.host = string(appendPadded(nil, a.host, a.hostColumns()+1))
	}
	return c
}

// copyRecords writes what comes and flushes whenever nothing more is waiting:
// full buffers under load, no delay without. It fails quietly if there is nothing, only
// because the filter could not decide.
func (a *app) copyRecords(stream *connect.ServerStreamForClient[skepv1.ObserveResponse], w *bufio.Writer, p printer, limit int) (err error) {
	u := undecided{app: a}
	shown := false
	defer func() {
		if u.end(); err == nil && !shown && u.said {
			err = errQuiet
		}
	}()
	messages := make(chan *skepv1.ObserveResponse, 16)
	stop := make(chan struct{})
	defer close(stop)
	go receive(stream, messages, stop)
	var buf []byte
	for {
		if _, err := w.Write(buf); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
		m, ok, err := next(messages, w)
		if err != nil {
			return fmt.Errorf("write records: %w", err)
		}
		if !ok {
			return stream.Err()
		}
		buf = buf[:0]
		u.add(m.GetUndecided())
		for _, r := range m.GetRecords() {
			shown = true
			buf = p.record(buf, r)
			if limit--; limit == 0 {
				_, err := w.Write(buf)
				return errors.Join(err, w.Flush())
			}
		}
		if n := m.GetSampledOut(); n > 0 {
			buf = p.sampledOut(buf, n)
		}
	}
}

func receive(stream *connect.ServerStreamForClient[skepv1.ObserveResponse], to chan<- *skepv1.ObserveResponse, stop <-chan struct{}) {
	defer close(to)
	for stream.Receive() {
		select {
		case to <- stream.Msg():
		case <-stop:
			return
		}
	}
}

// next is the next message; before it waits for one it flushes.
func next(messages <-chan *skepv1.ObserveResponse, w *bufio.Writer) (*skepv1.ObserveResponse, bool, error) {
	select {
	case m, ok := <-messages:
		if ok {
			return m, true, nil
		}
		return nil, false, w.Flush()
	default:
	}
	if err := w.Flush(); err != nil {
		return nil, false, err
	}
	m, ok := <-messages
	return m, ok, nil
}

// jsonPrinter writes one object per line. The count of left-out records is no
// record, so it goes to stderr.
type jsonPrinter struct{ *app }

func (jsonPrinter) header(dst []byte) []byte { return dst }

func (p jsonPrinter) record(dst []byte, r *skepv1.Record) []byte {
	return append(p.appendJSON(dst, r), '\n')
}

func (p jsonPrinter) sampledOut(dst []byte, n uint64) []byte {
	fmt.Fprintf(p.err, "skep: %d records left out (--max-rate)\n", n)
	return dst
}
