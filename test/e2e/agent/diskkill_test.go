// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// killsEnv says how often TestKilledWithDiskLog kills the agent; each time takes some three seconds.
const killsEnv = "SKEP_KILLS"

const (
	// lastSecond is what a kill may lose.
	lastSecond = time.Second
	// clocksApart: the agent makes its times of the kernel's, and this test asks for its own.
	clocksApart = 50 * time.Millisecond
)

// TestKilledWithDiskLog: an agent that is killed at any moment, while it writes its disk log or
// while a log is closed into segments, has lost nothing that is older than a second. What is
// missing of the last one is told with its numbers, nothing is there twice, and what happens
// while no agent runs is there too. What happened is counted by the generator, and by the
// processes that this test has started.
func TestKilledWithDiskLog(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(killsEnv))
	if err != nil {
		rounds = 14
	}
	h := newHouse(t, "store: {enabled: true, max_bytes: 16MiB}", // logs of one MiB
		"sensors: {dns: {enabled: false}, udp: {enabled: false}, unix: {enabled: false}, host: {calls: []}}") // or a start takes longer
	k := &diskKills{house: h, agent: h.start(), store: filepath.Join(h.dir, "data", "store"), lost: map[uint64]uint64{}, lostMarks: map[int]bool{}}
	k.generator = h.generator()
	k.marks = startMarks(t)
	for round := range rounds {
		k.round(round)
		if t.Failed() {
			break
		}
	}
	k.marks.stop()
	within(t, 2*skepdtest.Patience, "all logs but one are closed", func() error {
		if st := k.agent.status().Store; st.Logs > 1 || st.DamagedSegments > 0 {
			return fmt.Errorf("%v", st)
		}
		return nil
	})
	k.check(time.Now())
	k.agent.stop()
	t.Logf("%d kills, %d of them while a log was closed; of %d OOM kills %d of the last moment are lost, of %d processes %d",
		len(k.kills), k.whileClosing, k.generator.produced()["oom"], sumOf(k.lost), len(k.marks.all()), len(k.lostMarks))
	if k.whileClosing < rounds/3 {
		t.Error("too few kills while a log was closed: the test tests nothing")
	}
}

// diskKills is an agent that is killed again and again.
type diskKills struct {
	house     *house
	agent     *agent
	store     string
	generator *generator
	marks     *marker

	begun []time.Time // of the rounds
	kills []time.Time
	made  []made
	base  uint64 // the number before the first OOM kill's; 0: not known yet

	whileClosing int
	lost         map[uint64]uint64 // OOM kills, by the first number
	lostMarks    map[int]bool
}

// made is how many OOM kills the generator had made, and when it began with the last of them.
type made struct {
	at   time.Time
	upTo uint64
}

func (k *diskKills) generate() {
	at := time.Now()
	k.generator.run(1, 0)
	k.made = append(k.made, made{at, k.generator.produced()["oom"]})
}

// madeAt is when the OOM kill with a number was made.
func (k *diskKills) madeAt(number uint64) time.Time {
	i, _ := slices.BinarySearchFunc(k.made, number-k.base, func(m made, n uint64) int { return cmp.Compare(m.upTo, n) })
	return k.made[min(i, len(k.made)-1)].at
}

// round lets the agent work for a while, kills it, and looks at what the next one has. Every
// other kill waits until a log is being closed.
func (k *diskKills) round(n int) {
	t := k.house.t
	k.begun = append(k.begun, time.Now())
	end := time.Now().Add(time.Duration(rand.Int64N(int64(1500 * time.Millisecond))))
	if n%2 == 1 {
		end = time.Now().Add(skepdtest.Patience)
	}
	for time.Now().Before(end) {
		k.generate()
		if n%2 == 1 && k.closing() {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			break
		}
		time.Sleep(3 * time.Millisecond)
	}
	k.kills = append(k.kills, time.Now())
	k.agent.kill()
	if k.closing() {
		k.whileClosing++
	}
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // some processes that no agent sees
	before := time.Now()
	k.agent = k.house.start()
	k.check(before)
	if t.Failed() {
		t.Logf("round %d, kills at %v", n, k.kills)
	}
}

// closing tells of a log that is being made into segments: what is written of them is there
// beside the log.
func (k *diskKills) closing() bool {
	logs := map[string]bool{}
	names, err := os.ReadDir(k.store)
	if err != nil {
		k.house.t.Error(err)
	}
	for _, f := range names {
		if id, ok := strings.CutSuffix(f.Name(), ".wal"); ok {
			logs[id] = true
		}
	}
	return slices.ContainsFunc(names, func(f os.DirEntry) bool {
		parts := strings.Split(f.Name(), "-") // kind-period-from-to.parquet
		return strings.HasPrefix(f.Name(), ".tmp-") || strings.HasSuffix(f.Name(), ".parquet") && len(parts) > 1 && logs[parts[1]]
	})
}

// check looks at the last three rounds: older records go when there are too many bytes. All
// marked processes that had ended before a time must be there.
func (k *diskKills) check(ended time.Time) {
	t := k.house.t
	t.Helper()
	from := k.begun[max(0, len(k.begun)-3)]
	if oldest := k.agent.status().GetStore().GetOldest(); oldest == nil || oldest.AsTime().After(from) && len(k.begun) > 3 {
		t.Errorf("the disk log begins at %v, after %v", oldest.AsTime(), from)
	}
	records := k.agent.past(from, "oom", "exec", "loss")
	k.checkGenerated(records)
	k.checkMarks(records, from, ended)
}

// checkGenerated: each OOM kill that the generator has made has a number, and each number is
// that of one record or of one loss. What a kill lost was made in the last second before it.
func (k *diskKills) checkGenerated(records []*skepv1.Record) {
	t := k.house.t
	t.Helper()
	type numbers struct {
		span
		loss *skepv1.Record
	}
	var all []numbers
	for _, r := range records {
		if l := r.GetLoss(); l.GetLostKind() == "oom" {
			if l.LastSeq == 0 {
				t.Errorf("a loss without numbers: %v", r)
				continue
			}
			all = append(all, numbers{span{l.FirstSeq, l.LastSeq}, r})
		} else if r.Kind == "oom" {
			all = append(all, numbers{span{r.Seq, r.Seq}, nil})
		}
	}
	if len(all) == 0 {
		return // a round of some milliseconds
	}
	slices.SortFunc(all, func(a, b numbers) int { return cmp.Compare(a.first, b.first) })
	k.base = cmp.Or(k.base, all[0].first-1)
	for i, n := range all {
		if i > 0 && n.first != all[i-1].last+1 {
			t.Errorf("%v follows %v", n.span, all[i-1].span)
			return
		}
		if n.loss.GetLoss().GetPlace() != "store" {
			continue
		}
		if at, killed := k.madeAt(n.first), k.killBefore(n.loss.Time.AsTime()); at.Before(killed.Add(-lastSecond)) {
			t.Errorf("%d are lost of the time from %v on, and the kill was at %v", n.last-n.first+1, at, killed)
		}
		k.lost[n.first] = n.last - n.first + 1
	}
	// The record that the agent is at when it is killed may get a second number: see docs/records.md.
	if last, produced := all[len(all)-1].last-k.base, k.generator.produced()["oom"]; last < produced || last > produced+uint64(len(k.kills)) {
		t.Errorf("the generator has made %d, the numbers end at %d", produced, last)
	}
}

// killBefore is the last kill before a time.
func (k *diskKills) killBefore(at time.Time) time.Time {
	for _, when := range slices.Backward(k.kills) {
		if when.Before(at) {
			return when
		}
	}
	k.house.t.Errorf("something was lost at %v, before the first kill", at)
	return time.Time{}
}

func sumOf(counts map[uint64]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// past asks for what happened since a time.
func (a *agent) past(from time.Time, kinds ...string) (all []*skepv1.Record) {
	t := a.house.t
	t.Helper()
	stream, err := a.Observe(t.Context(), &skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: kinds}, From: timestamppb.New(from)})
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	defer stream.Close()
	for stream.Receive() {
		all = append(all, stream.Msg().Records...)
	}
	if err := stream.Err(); err != nil {
		t.Fatalf("observe: %v", err)
	}
	return all
}
