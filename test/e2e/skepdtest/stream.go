// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Stream collects the records of one Observe call.
type Stream struct {
	mutex   sync.Mutex
	records []*skepv1.Record
	err     error
	changed chan struct{} // closed and replaced with each change
}

// Observe collects what the agent tells from now on until the test ends; filter may be nil.
func (a *Agent) Observe(t testing.TB, filter *skepv1.Filter) *Stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	source, err := a.AgentServiceClient.Observe(ctx, &skepv1.ObserveRequest{Filter: filter, Follow: true})
	if err != nil {
		cancel()
		t.Fatalf("observe: %v", err)
	}
	s := &Stream{changed: make(chan struct{})}
	live := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.collect(source, live)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := s.failure(); err != nil {
			t.Errorf("observe: %v", err)
		}
	})
	select {
	case <-live:
	case <-time.After(Patience):
		t.Fatal("observe: the stream did not become live")
	}
	return s
}

// receiver is the part of connect's stream that is used here.
type receiver interface {
	Receive() bool
	Msg() *skepv1.ObserveResponse
	Err() error
	Close() error
}

func (s *Stream) collect(source receiver, live chan struct{}) {
	once := sync.OnceFunc(func() { close(live) })
	defer once()
	for source.Receive() {
		m := source.Msg()
		s.mutex.Lock()
		s.records = append(s.records, m.Records...)
		close(s.changed)
		s.changed = make(chan struct{})
		s.mutex.Unlock()
		if m.Live {
			once()
		}
	}
	err := errors.Join(source.Err(), source.Close())
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if connect.CodeOf(err) != connect.CodeCanceled && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		s.err = err
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Stream) failure() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.err
}

// All returns the records so far that match.
func (s *Stream) All(match func(*skepv1.Record) bool) []*skepv1.Record {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var found []*skepv1.Record
	for _, r := range s.records {
		if match(r) {
			found = append(found, r)
		}
	}
	return found
}

// WaitFor returns the first record that matches, waiting for it if need be.
func (s *Stream) WaitFor(t testing.TB, what string, match func(*skepv1.Record) bool) *skepv1.Record {
	t.Helper()
	return s.waitFrom(t, 0, what, match)
}

// waitFrom ignores the first records, as many as seen.
func (s *Stream) waitFrom(t testing.TB, seen int, what string, match func(*skepv1.Record) bool) *skepv1.Record {
	t.Helper()
	timeout := time.After(Patience)
	for {
		s.mutex.Lock()
		records, changed, err := s.records[seen:], s.changed, s.err
		s.mutex.Unlock()
		if i := slices.IndexFunc(records, match); i >= 0 {
			return records[i]
		}
		seen += len(records)
		if err != nil {
			t.Fatalf("no record: %s: %v", what, err)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no record within %v: %s (%d others)", Patience, what, seen)
		}
	}
}

// Sync returns when everything that the process sensor saw before is collected: it runs
// a process and waits for its exit. The stream's filter must let exits pass.
func (s *Stream) Sync(t testing.TB) {
	t.Helper()
	s.mutex.Lock()
	seen := len(s.records)
	s.mutex.Unlock()
	c := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := c.Run(); err != nil {
		t.Fatalf("run the marker process: %v", err)
	}
	pid := uint32(c.Process.Pid)
	s.waitFrom(t, seen, "exit of the marker process", func(r *skepv1.Record) bool {
		return r.Kind == "exit" && r.Process.GetPid() == pid
	})
}

// Of returns the records of one kind about one process.
func (s *Stream) Of(kind string, pid int) []*skepv1.Record {
	return s.All(func(r *skepv1.Record) bool { return r.Kind == kind && r.Process.GetPid() == uint32(pid) })
}

// Wait returns the first record of one kind about one process.
func (s *Stream) Wait(t testing.TB, kind string, pid int) *skepv1.Record {
	t.Helper()
	return s.WaitFor(t, fmt.Sprintf("%s of process %d", kind, pid), func(r *skepv1.Record) bool {
		return r.Kind == kind && r.Process.GetPid() == uint32(pid)
	})
}
