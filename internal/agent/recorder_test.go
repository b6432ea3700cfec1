// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
)

// numbered returns all that is in a log.
func numbered(t *testing.T, log *event.Log) []*skepv1.Record {
	t.Helper()
	c := log.Subscribe(event.SubscribeOptions{Last: 1000})
	defer c.Close()
	buf := make([]*skepv1.Record, 1000)
	n, _, err := c.Next(context.Background(), buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func newTestRecorder(s state) *recorder {
	return &recorder{clock: newClock(), state: s, log: event.NewLog(event.LogOptions{})}
}

// publishSome gives numbers to records of one kind.
func (r *recorder) publishSome(kind event.Kind, n int) {
	for range n {
		r.publish(kind, bootNS(), nil, &skepv1.Record{})
	}
}

// TestNumbers: each kind has its own; a loss is a gap, and says which.
func TestNumbers(t *testing.T) {
	var w words
	r := newTestRecorder(&w)
	r.publishSome(event.Exec, 3)
	r.publishSome(event.Exit, 1)
	r.loss(wordOfLoss(int(abi.LossRingFull), int(abi.EventExec)), abi.EventExec, true, &skepv1.Loss{Count: 5, Place: "ring_full"})
	r.loss(wordOfLoss(int(abi.LossTableFull), int(abi.EventExec)), abi.EventExec, false, &skepv1.Loss{Count: 7, Place: "table_full"})
	r.publishSome(event.Exec, 1)
	records := numbered(t, r.log)
	if l := records[4].GetLoss(); l.FirstSeq != 4 || l.LastSeq != 8 || l.LostKind != "exec" {
		t.Errorf("loss: %v", l)
	}
	if l := records[5].GetLoss(); l.FirstSeq != 0 || l.LastSeq != 0 {
		t.Errorf("a full table makes no gap: %v", l)
	}
	if got := records[6].Seq; got != 9 {
		t.Errorf("the exec after the loss has number %d, want 9", got)
	}
	if r.received(event.Exec) != 4 || r.lost(event.Exec) != 5 || r.seq(event.Exec) != 9 || r.seq(event.Loss) != 2 {
		t.Errorf("received %d, lost %d, last %d", r.received(event.Exec), r.lost(event.Exec), r.seq(event.Exec))
	}
	// The next agent on the same words goes on.
	next := newTestRecorder(&w)
	next.publishSome(event.Exec, 1)
	if got := numbered(t, next.log)[0].Seq; got != 10 {
		t.Errorf("the next agent begins with %d, want 10", got)
	}
}

// TestTakeOver: numbers go on after another kernel side, and its rest is a gap.
func TestTakeOver(t *testing.T) {
	var old words
	first := newTestRecorder(&old)
	first.takeOver(nil)
	base := old.Get(wordBase + int(event.Exec))
	first.publishSome(event.Exec, 3)
	first.loss(wordOfLoss(int(abi.LossRingFull), int(abi.EventExec)), abi.EventExec, true, &skepv1.Loss{Count: 2})

	var fresh words
	r := newTestRecorder(&fresh)
	r.takeOver([]kern.Leftover{{
		Words:   old[:],
		Records: map[uint16]uint64{uint16(abi.EventExec): 10, uint16(abi.EventCgroupMkdir): 1, 60000: 4},
		Losses:  kern.Losses{abi.LossRingFull: {abi.EventExec: 6}}, // 2 are told
	}})
	r.publishSome(event.Exec, 1)
	got := map[string]*skepv1.Loss{}
	records := numbered(t, r.log)
	for _, record := range records {
		if l := record.GetLoss(); l != nil {
			got[l.LostKind] = l
		}
	}
	if l := got["exec"]; l.GetCount() != 14 || l.GetFirstSeq() != base+6 || l.GetLastSeq() != base+19 || l.GetPlace() != "restart" {
		t.Errorf("exec: %v", l)
	}
	if got["cgroup_mkdir"].GetCount() != 1 || got["unknown"].GetCount() != 4 {
		t.Errorf("others: %v", got)
	}
	if last := records[len(records)-1]; last.Seq != base+20 {
		t.Errorf("the next exec has number %d, want %d", last.Seq, base+20)
	}
	if r.lost(event.Exec) != 14 || r.received(event.Exec) != 1 {
		t.Errorf("lost %d, received %d", r.lost(event.Exec), r.received(event.Exec))
	}
}

// TestTakeOverStranger: words of another layout, or none, mean nothing, and the numbers
// begin above any that an agent of this boot can have given.
func TestTakeOverStranger(t *testing.T) {
	for name, old := range map[string][]uint64{"none": nil, "another layout": {layoutVersion + 1, 99, 99}, "short": {layoutVersion}} {
		var w words
		r := newTestRecorder(&w)
		now := bootNS() / 1000
		r.takeOver([]kern.Leftover{{Words: old, Records: map[uint16]uint64{uint16(abi.EventExec): 2}}})
		if r.lost(event.Exec) != 2 || r.seq(event.Exec) < now || w.Get(wordBase+int(event.Exec)) != r.seq(event.Exec)-2 {
			t.Errorf("%s: the last exec number is %d, want 2 above a base of at least %d", name, r.seq(event.Exec), now)
		}
	}
}

// TestWordsFit: no two facts share a word.
func TestWordsFit(t *testing.T) {
	used := map[int]string{wordLayout: "layout"}
	take := func(word int, what string) {
		if other, taken := used[word]; taken || word >= len(words{}) {
			t.Errorf("%s and %s are both word %d of %d", what, other, word, len(words{}))
		}
		used[word] = what
	}
	for _, kind := range event.Kinds() {
		take(wordReceived+int(kind), "received "+kind.String())
		take(wordBase+int(kind), "base "+kind.String())
	}
	for typ := range int(abi.EventTypes) {
		take(wordRestart+typ, "restart")
		for place := range int(abi.LossPlaces) {
			take(wordOfLoss(place, typ), "loss")
		}
	}
	for word := wordMissed; word < endMissed; word++ {
		take(word, "missed")
	}
}

// TestMalformed: what cannot be decoded is counted and told, and harms nothing.
func TestMalformed(t *testing.T) {
	s := newTestSink()
	fork, exec, exit := lifecycle(1000, 1)
	bad := 0
	for _, raw := range [][]byte{fork, exec, exit} {
		for n := range len(raw) {
			s.take(raw[:n])
		}
		bad += len(raw)
	}
	s.take(make([]byte, 100)) // type 0
	if got := s.malformed.Load(); got != uint64(bad+1) {
		t.Errorf("%d of %d are counted", got, bad+1)
	}
	s.reportMalformed()
	s.reportMalformed() // once
	records := numbered(t, s.recorder.log)
	if len(records) != 1 || records[0].GetLoss().GetPlace() != "malformed" || records[0].GetLoss().GetCount() != uint64(bad+1) {
		t.Errorf("told: %v", records)
	}
}

// TestPanic: a record that a decoder cannot stand does not end the agent.
func TestPanic(t *testing.T) {
	s := newTestSink()
	s.processes = nil
	fork, _, _ := lifecycle(1000, 1)
	s.take(fork)
	s.take(fork)
	if got := s.malformed.Load(); got != 2 {
		t.Errorf("%d are counted, want 2", got)
	}
}

// TestMatchMissed: what was reported of a program stays with it, wherever it stands, and a
// program that is attached anew begins at 0.
func TestMatchMissed(t *testing.T) {
	var w words
	r := newTestRecorder(&w)
	programs := func(ids ...uint32) (all []kern.ProgramStats) {
		for _, id := range ids {
			all = append(all, kern.ProgramStats{ID: id})
		}
		return all
	}
	missed := func(want ...uint64) {
		t.Helper()
		for i, n := range want {
			if got := w.Get(wordMissed + i); got != n {
				t.Errorf("program %d in order: %d reported, want %d", i, got, n)
			}
		}
	}
	r.matchMissed(programs(10, 11, 12))
	missed(0, 0, 0)
	for i, n := range []uint64{5, 6, 7} {
		w.Set(wordMissed+i, n)
	}
	r.matchMissed(programs(10, 11, 12)) // all adopted
	missed(5, 6, 7)
	r.matchMissed(programs(12, 20, 10, 11)) // in another order, one anew
	missed(7, 0, 5, 6)
	r.matchMissed(programs(0, 20, 30)) // one whose id is not known, and fewer
	missed(0, 0, 0, 0)
	many := make([]uint32, 100)
	for i := range many {
		many[i] = uint32(i + 1)
	}
	r.matchMissed(programs(many...)) // more than there is room for
	missed(make([]uint64, endMissed-wordMissed)...)
}
