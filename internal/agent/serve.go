// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// serve runs the parts until ctx ends or one of them fails. What feeds the log ends
// first, so that the streams still deliver the last event and the agent's own stop.
func (a *Agent) serve(ctx context.Context) error {
	relaxTimers()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	readers, stopReaders := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReaders()
	var feeding, reading sync.WaitGroup
	run := func(group *sync.WaitGroup, until context.Context, name string, part func(context.Context) error) {
		group.Go(func() {
			if err := part(until); err != nil && until.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	// The disk log begins with the process table, and follows what is drained.
	announced := make(chan struct{})
	run(&feeding, ctx, "rescan processes", func(ctx context.Context) error { return a.rescan(ctx, announced) })
	if a.store != nil {
		run(&reading, readers, "keep the disk log", a.store.Run)
	}
	a.announce()
	close(announced)
	a.outputs.start(readers)
	run(&feeding, ctx, "read events", func(ctx context.Context) error { return a.reader.Run(ctx, a.sink) })
	run(&feeding, ctx, "resolve containers", a.containers.Run)
	run(&feeding, ctx, "look at watched paths", a.files.run)
	run(&feeding, ctx, "measure costs", a.costs.run)
	run(&feeding, ctx, "keep the budget", a.budget.run)
	run(&feeding, ctx, "relax timers", keepRelaxed)
	run(&feeding, ctx, "reload configuration", a.reloads)
	a.installed.resume()
	run(&reading, readers, "run installed scripts", a.installed.run)
	run(&reading, readers, "serve API", func(ctx context.Context) error { return a.server.Serve(ctx, a.listeners...) })
	run(&reading, readers, "serve metrics", func(ctx context.Context) error { return a.metrics.run(ctx, a.server) })
	feeding.Wait()
	a.endLog()
	stopReaders()
	reading.Wait()
	a.outputs.wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// announce puts the agent's own start into the stream, and what an earlier agent's
// kernel side had kept for this one.
func (a *Agent) announce() {
	if err := a.kernel.Settle(); err != nil {
		a.logger.Error("programs of an earlier agent are still attached", "error", err)
	}
	left, err := a.kernel.RemoveLeftovers(a.attachedNS)
	if err != nil {
		a.logger.Error("kernel side of an older agent not removed", "error", err)
	}
	a.sink.recorder.takeOver(left)
	a.sink.recorder.matchMissed(a.costs.programs())
	a.sink.tellFirstGaps()
	body := &skepv1.Agent{Event: "start", Version: a.options.Version}
	if a.kernel.Adopted() {
		a.sink.adopting = true
		a.reader.Pass(a.sink)
		a.sink.adopting = false
		body = &skepv1.Agent{Event: "adopt", Version: a.options.Version, Drained: a.sink.drained, Lost: a.sink.adoptLost,
			Detail: "took over the kernel side of an earlier agent"}
	}
	a.tell(body)
	a.log.Flush()
}

func (a *Agent) tell(body *skepv1.Agent) { a.sink.recorder.tell(body) }

// streamGrace is how long streams get to deliver what is in the log when the agent stops.
const streamGrace = 500 * time.Millisecond

// endLog closes the log and waits for its readers to come to its end. Outputs that cannot
// deliver are ended before, for the stream has to tell what they lose; the others have the
// agent's last record too.
func (a *Agent) endLog() {
	a.sink.queries.Abandon(bootNS())
	if a.options.Private || a.options.Ephemeral {
		a.datagrams.abandon(a.processes.Process)
	}
	a.sink.tellLosses()
	a.sink.reportMalformed()
	a.sink.reportGaps()
	a.sink.reportStore(true)
	a.sink.reportUndecoded()
	a.sink.reportFull()
	a.log.Flush()
	a.outputs.settle(streamGrace)
	a.sink.reportShipped()
	a.tell(&skepv1.Agent{Event: "stop", Version: a.options.Version})
	a.log.Close()
	for end := time.Now().Add(streamGrace); len(a.log.Cursors()) > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// stop runs after the parts have ended.
func (a *Agent) stop() error {
	errs := []error{a.reader.Close(), a.tracer.host.Close()}
	switch {
	case a.options.Ephemeral:
		errs = append(errs, a.kernel.Remove())
	case a.options.Private:
		errs = append(errs, a.kernel.Close())
	default:
		errs = append(errs, a.kernel.Close())
		a.logger.Info("agent ends; its programs go on for the next one, skepd remove takes them away")
	}
	return errors.Join(append(errs, a.closeData())...)
}
