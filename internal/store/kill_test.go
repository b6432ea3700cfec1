// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

// appendUntilKilled makes this binary the writer of TestKilled: see there.
const appendUntilKilled = "SKEP_STORE_TEST_APPEND"

func TestMain(m *testing.M) {
	if dir := os.Getenv(appendUntilKilled); dir != "" {
		first, _ := strconv.ParseUint(os.Args[1], 10, 64)
		appendForEver(dir, first)
	}
	os.Exit(m.Run())
}

// numbered is the record with a number: all of it follows from that.
func numbered(seq uint64) *skepv1.Record {
	p := &skepv1.Process{ProcessId: fmt.Sprint("p-", seq/3), Pid: uint32(seq / 3), Comm: "writer", Exe: "/bin/writer"}
	return &skepv1.Record{
		NodeId: day.Node, BootId: day.Boot, Kind: "exit", Seq: seq, Time: timestamppb.New(day.Start.Add(time.Duration(seq) * time.Millisecond)),
		Process: p, Body: &skepv1.Record_Exit{Exit: &skepv1.Exit{DurationNs: seq * 7}},
	}
}

// appendForEver appends records from a number on, some 4,000 a second, and says on its
// output which one was appended last, at what time, and how many periods were closed.
func appendForEver(dir string, seq uint64) {
	log := event.NewLog(event.LogOptions{})
	// Logs so small that the kill often hits while one is being closed.
	var closing atomic.Int64
	s, err := New(Options{Dir: dir, Log: log, LogBytes: 64 << 10, Close: func(ctx context.Context, dir string, id uint64) (Damage, error) {
		closing.Add(1)
		defer closing.Add(-1)
		return CloseLog(ctx, dir, id)
	}})
	if err != nil {
		panic(err)
	}
	s.Open()
	go s.Run(context.Background())
	for {
		for range 20 {
			log.Append(event.Exit, numbered(seq))
			seq++
		}
		log.Flush()
		fmt.Println(seq-1, time.Now().UnixNano(), closing.Load())
		time.Sleep(5 * time.Millisecond)
	}
}

// TestKilled: however often and whenever the agent is killed, of what it was given more
// than a second before nothing is missing, nothing is there twice, and there is no hole
// before the last record. The end of a log that was being written when the power went is
// dropped, and counted. STORE_KILLS is how often, in eight directories side by side.
func TestKilled(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("STORE_KILLS"))
	if err != nil {
		kills = 100
	}
	var all killing
	var writers sync.WaitGroup
	for i := range min(8, kills) {
		writers.Go(func() { all.rounds(t, t.TempDir(), (kills+i)/8) })
	}
	writers.Wait()
	t.Logf("%d kills, %d of them while a log was closed, %d that had something older than a second; %d records, %d of the last moment lost, %d torn ends",
		all.kills, all.whileClosing, all.older, all.records, all.lost, all.torn)
	if all.older < kills/4 || all.torn < kills/4 || kills >= 100 && all.whileClosing == 0 {
		t.Error("too few kills had something to find: the test tests nothing")
	}
}

// killing is what the kills came to.
type killing struct {
	mu                               sync.Mutex
	kills, whileClosing, older, torn int
	records, lost                    uint64
}

// rounds kills the writer of a directory some times, and looks at what is there each time.
func (k *killing) rounds(t *testing.T, dir string, n int) {
	next := uint64(1)
	for round := range n {
		appended, err := killedWriter(dir, next, time.Duration(rand.Int64N(int64(1600*time.Millisecond))))
		if err != nil {
			t.Error(err)
			return
		}
		torn := int64(0)
		if round%2 == 1 {
			torn = tearEnd(t, dir)
		}
		s := stillStore(t, dir)
		if counted := int64(s.Status().DamagedBytes); counted < torn {
			t.Errorf("%d bytes were torn, and %d counted", torn, counted)
		}
		have, ok := inOrder(t, s)
		if !ok {
			return
		}
		if have < appended.secondBefore {
			t.Errorf("round %d: %d was appended a second before the kill, the disk has %d", round, appended.secondBefore, have)
			return
		}
		if err := s.end(nil); err != nil {
			t.Error(err)
		}
		k.mu.Lock()
		k.kills++
		k.records += have + 1 - next
		k.lost += max(appended.last, have) - have
		if appended.closing {
			k.whileClosing++
		}
		if appended.secondBefore >= next {
			k.older++
		}
		if torn > 0 {
			k.torn++
		}
		k.mu.Unlock()
		next = have + 1
	}
}

// inOrder checks that a store has the records from 1 on, each once, and returns the last.
func inOrder(t *testing.T, s *Store) (last uint64, ok bool) {
	filter, err := filters.Compile(nil, filters.Deps{})
	if err != nil {
		t.Error(err)
		return 0, false
	}
	past := s.Past()
	defer past.Close()
	missing, err := past.Read(context.Background(), time.Time{}, time.Time{}, filter, func(r *skepv1.Record) error {
		last++
		want := numbered(last)
		if r.Seq != want.Seq || r.GetExit().GetDurationNs() != want.GetExit().GetDurationNs() || r.GetProcess().GetProcessId() != want.Process.ProcessId {
			return fmt.Errorf("record %d is %v", last, r)
		}
		return nil
	})
	if err != nil || len(missing) > 0 {
		t.Error(err, missing)
	}
	return last, err == nil && len(missing) == 0
}

// tearEnd does to the newest log what a power cut does in the middle of a write: behind its
// last frame comes the begin of a further one.
func tearEnd(t *testing.T, dir string) int64 {
	periods, err := readCatalog(dir)
	if err != nil || len(periods) == 0 || !periods[len(periods)-1].log {
		t.Error("there is no log to tear", err)
		return 0
	}
	path := filepath.Join(dir, logName(periods[len(periods)-1].id))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return 0
	}
	frame := whole[min(len(whole), fileHeader):]
	if len(frame) < headerLen {
		return 0
	}
	cut := frame[:1+rand.IntN(min(len(frame), headerLen+int(binary.LittleEndian.Uint32(frame[8:])))-1)]
	if err := os.WriteFile(path, append(whole, cut...), 0o600); err != nil {
		t.Error(err)
	}
	return int64(len(cut))
}

// acknowledged is what a writer had said before it was killed.
type acknowledged struct {
	last, secondBefore uint64
	closing            bool
}

// killedWriter runs a writer, for a while from its first record on, and kills it.
func killedWriter(dir string, first uint64, life time.Duration) (a acknowledged, err error) {
	c := exec.Command(os.Args[0], fmt.Sprint(first))
	c.Env = append(os.Environ(), appendUntilKilled+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return a, err
	}
	if err := c.Start(); err != nil {
		return a, err
	}
	killed := make(chan time.Time, 1)
	type line struct {
		seq     uint64
		at      int64
		closing int
	}
	var lines []line
	for in := bufio.NewScanner(out); in.Scan(); {
		var l line
		if _, err := fmt.Sscan(in.Text(), &l.seq, &l.at, &l.closing); err != nil {
			continue // it was killed in the middle of the line
		}
		if lines = append(lines, l); len(lines) == 1 {
			time.AfterFunc(life, func() { killed <- time.Now(); c.Process.Kill() })
		}
	}
	c.Wait()
	if len(lines) == 0 {
		return a, errors.New("the writer ended before its first record")
	}
	end := <-killed
	for _, l := range lines {
		a.last, a.closing = l.seq, l.closing > 0
		if end.Sub(time.Unix(0, l.at)) > time.Second {
			a.secondBefore = l.seq
		}
	}
	return a, nil
}

// stillStore opens what is in a directory and writes nothing.
func stillStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := New(Options{Dir: dir, Log: event.NewLog(event.LogOptions{}), BootID: day.Boot})
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	s.take(nil, event.Counts{})
	if err := s.Failing(); err != nil {
		t.Fatal(err)
	}
	return s
}
