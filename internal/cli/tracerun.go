// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// tracing is one script that runs at an agent for us.
type tracing struct {
	client  *client
	printer *tracePrinter
	command *held // of -c, or nil
	// stop ends the stream at once.
	stop context.CancelFunc
	// interrupted and commandEnded are closed when the script is to be asked to end; nil once it
	// was, and commandEnded until the command runs.
	interrupted, commandEnded <-chan struct{}
	// id is set once the script is attached.
	id    string
	ended *skepv1.TraceEnded
	// signals are those that the script has probes for (self:signal:NAME).
	signals chan os.Signal
	wrong   bool // diagnostics have said what
}

// trace runs a script until it, or the user, ends it.
func (a *app) trace(ctx context.Context, c *client, req *skepv1.TraceRequest, f *traceFlags) error {
	// Ctrl-C asks the agent to end the script: the stream goes on, for its last words.
	stream, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	t := &tracing{client: c, printer: a.newTracePrinter(f, req), stop: stop, interrupted: ctx.Done()}
	t.printer.beside = func(do func(context.Context) error) error { return t.beside(ctx, stream, do) }
	req.Confirms = req.GetMode() == skepv1.TraceMode_TRACE_MODE_RUN
	if f.command != "" {
		var err error
		if t.command, err = hold(f.command, a.split(), a.out, a.err); err != nil {
			return err
		}
		defer t.command.end()
		req.CommandPid = uint32(t.command.pid)
	}
	err := t.run(ctx, stream, req)
	if flushed := t.printer.end(); err == nil {
		err = flushed
	}
	if err != nil {
		return t.failure(ctx, err)
	}
	return t.status()
}

// receive hands on the messages of the stream until its end. That it begins may take a while.
func (t *tracing) receive(ctx context.Context, req *skepv1.TraceRequest, to chan<- *skepv1.TraceResponse) error {
	defer close(to)
	stream, err := t.client.Trace(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		select {
		case to <- stream.Msg():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return stream.Err()
}

func (t *tracing) run(ctx, stream context.Context, req *skepv1.TraceRequest) error {
	messages, received := make(chan *skepv1.TraceResponse), make(chan error, 1)
	go func() { received <- t.receive(stream, req, messages) }()
	for {
		m, ok := awaited(ctx, t, messages)
		if !ok {
			return <-received
		}
		if err := t.take(ctx, m); err != nil {
			return err
		}
	}
}

// awaited is what comes from a channel. Until then it does what the user and the command of -c ask for.
func awaited[T any](ctx context.Context, t *tracing, from <-chan T) (T, bool) {
	for {
		select {
		case v, ok := <-from:
			return v, ok
		case <-t.interrupted:
			t.interrupted = nil
			t.interrupt(ctx)
		case sig := <-t.signals:
			t.tellSignal(ctx, sig)
		case <-t.commandEnded:
			t.commandEnded = nil
			t.askEnd(ctx)
		}
	}
}

// beside does what a script wants done here. What the script says next waits for that; its end
// does not, and if the stream is stopped there is a second left.
func (t *tracing) beside(ctx, stream context.Context, do func(context.Context) error) error {
	done := make(chan error, 2) // of both
	go func() { done <- do(stream) }()
	defer context.AfterFunc(stream, func() {
		time.Sleep(time.Second)
		done <- stream.Err()
	})()
	err, _ := awaited(ctx, t, done)
	return err
}

// interrupt asks the agent to end the script, or ends it if it is not attached yet. From
// then on one more signal ends all.
func (t *tracing) interrupt(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		t.stop()
	}()
	t.askEnd(ctx)
}

func (t *tracing) askEnd(ctx context.Context) {
	if t.id == "" {
		t.stop()
		return
	}
	t.ask(ctx, &skepv1.EndTraceRequest{})
}

// ask asks the agent for what ends the script, at once or in time; if it cannot be asked, all ends.
func (t *tracing) ask(ctx context.Context, req *skepv1.EndTraceRequest) {
	req.Id = t.id
	go func() {
		_, err := t.client.EndTrace(context.WithoutCancel(ctx), req)
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound { // it has just ended
			t.stop()
		}
	}()
}

// watchSignals begins to listen for the signals that the script has probes for. Those that
// end it keep doing that.
func (t *tracing) watchSignals(ready *skepv1.TraceReady) {
	for _, p := range ready.GetProbes() {
		name, ok := strings.CutPrefix(p.GetName(), "self:signal:")
		if !ok {
			continue
		}
		switch sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig {
		case 0, unix.SIGINT, unix.SIGTERM, unix.SIGKILL, unix.SIGSTOP:
		default:
			if t.signals == nil {
				t.signals = make(chan os.Signal, 8)
			}
			signal.Notify(t.signals, sig)
		}
	}
}

func (t *tracing) tellSignal(ctx context.Context, sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	_, err := t.client.EndTrace(ctx, &skepv1.EndTraceRequest{Id: t.id, Signal: unix.SignalName(number)})
	if err != nil {
		t.printer.told(fmt.Sprintf("tell the script of %v: %v", sig, err))
	}
}

// take shows a message, and does what it asks for.
func (t *tracing) take(ctx context.Context, m *skepv1.TraceResponse) error {
	for _, e := range m.GetEvents() {
		if ready := e.GetReady(); ready != nil {
			t.id = ready.GetId()
			t.watchSignals(ready)
		}
		if t.id == "" && e.GetDiagnostic().GetSeverity() == skepv1.TraceDiagnostic_SEVERITY_ERROR { // later it is errorf()
			t.wrong = true
		}
		if ended := e.GetEnded(); ended != nil {
			t.ended = ended
		}
		if e.GetCommand().GetKind() == skepv1.TraceCommand_KIND_CONFIRM { // all before it is done
			t.ask(ctx, &skepv1.EndTraceRequest{Confirmed: true})
		}
		if err := t.printer.event(e); err != nil {
			return err
		}
		if e.GetReady() != nil {
			if err := t.release(); err != nil {
				return err
			}
		}
	}
	return t.printer.flush()
}

// release lets the command of -c run, behind what has been said so far.
func (t *tracing) release() error {
	if t.command == nil || t.id == "" {
		return nil
	}
	t.command.release()
	t.commandEnded = t.command.done
	return t.printer.flush()
}

// status is the script's own.
func (t *tracing) status() error {
	switch {
	case t.wrong:
		return &exitError{exitFailed, errQuiet}
	case t.ended.GetReason() == "stopping":
		return fail(exitNoAgent, "the agent stops, and the script ended with it")
	case t.ended.GetCode() != 0:
		return &exitError{int(t.ended.GetCode()) & 0xff, errQuiet}
	}
	return nil
}

// failure is what to say about the end of the stream.
func (t *tracing) failure(ctx context.Context, err error) error {
	switch {
	case t.wrong && connect.CodeOf(err) == connect.CodeInvalidArgument:
		return &exitError{exitFailed, errQuiet} // the diagnostics have said it all
	case ctx.Err() != nil && isCanceled(err):
		if t.id == "" {
			return context.Canceled
		}
		return nil
	case isCanceled(err) && errors.Is(err, context.Canceled):
		return fail(exitNoAgent, "the agent could not be asked to end the script")
	}
	return endOfStream(context.WithoutCancel(ctx), err)
}
