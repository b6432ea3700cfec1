// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// asideKey marks the context of stages that run aside.
type asideKey struct{}

// runStages runs the stages in their order, those aside in theirs beside the others.
func (t *tally) runStages(ctx context.Context, chosen []stage) {
	aside := newAside(t)
	for _, s := range chosen {
		if s.aside {
			aside.start(ctx, s)
			continue
		}
		if s.alone {
			aside.join()
		}
		t.runStage(ctx, s)
	}
	aside.join()
}

func (t *tally) runStage(ctx context.Context, s stage) {
	if ctx.Err() != nil {
		return
	}
	t.begin(s)
	err := s.run(ctx, t)
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped after %v: %w", time.Since(t.started).Round(time.Second), ctx.Err())
	}
	if err != nil {
		t.add(result{pkg: s.name, outcome: failed, output: err.Error() + "\n"})
	}
	t.end()
}

// asideLane runs stages one after the other beside those of a tally, which gets their
// results and what they print when it joins them.
type asideLane struct {
	to   *tally
	own  *tally
	text bytes.Buffer
	last chan struct{} // closed when the last one that was started has ended
}

func newAside(to *tally) *asideLane {
	l := &asideLane{to: to, last: make(chan struct{})}
	l.own = &tally{out: &l.text, started: to.started}
	close(l.last)
	return l
}

func (l *asideLane) start(ctx context.Context, s stage) {
	before, done := l.last, make(chan struct{})
	l.last = done
	go func() {
		defer close(done)
		<-before
		l.own.runStage(context.WithValue(ctx, asideKey{}, true), s)
	}()
}

func (l *asideLane) join() {
	<-l.last
	l.to.out.Write(l.text.Bytes())
	l.to.results = append(l.to.results, l.own.results...)
	l.to.timings = append(l.to.timings, l.own.timings...)
	l.text.Reset()
	l.own.results, l.own.timings = nil, nil
}
