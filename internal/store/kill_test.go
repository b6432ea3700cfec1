// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
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

// appendForEver appends records from a number on, some 20,000 a second, and says on its
// output which one was appended at what time.
func appendForEver(dir string, seq uint64) {
	log := event.NewLog(event.LogOptions{})
	// Logs so small that the kill often hits while one is being closed.
	s, err := New(Options{Dir: dir, Log: log, LogBytes: 128 << 10})
	if err != nil {
		panic(err)
	}
	s.Open()
	go s.Run(context.Background())
	for {
		for range 100 {
			log.Append(event.Exit, numbered(seq))
			seq++
		}
		log.Flush()
		fmt.Println(seq-1, time.Now().UnixNano())
		time.Sleep(5 * time.Millisecond)
	}
}

// TestKilled: however often and whenever the agent is killed, of what it was given more
// than a second before nothing is missing, nothing is there twice, and there is no hole
// before the last record. STORE_KILLS is how often (the promise is about 100).
func TestKilled(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("STORE_KILLS"))
	if err != nil {
		kills = 12
	}
	dir := t.TempDir()
	next, lost := uint64(1), uint64(0)
	for round := range kills {
		appended := killedWriter(t, dir, next, time.Duration(rand.Int64N(int64(700*time.Millisecond)))+50*time.Millisecond)
		s := stillStore(t, dir)
		have := uint64(0)
		for i, r := range ask(t, s, time.Time{}, time.Time{}, nil) {
			want := numbered(uint64(i + 1))
			if r.Seq != want.Seq || r.GetExit().GetDurationNs() != want.GetExit().GetDurationNs() || r.GetProcess().GetProcessId() != want.Process.ProcessId {
				t.Fatalf("round %d: record %d is %v", round, i+1, r)
			}
			have = r.Seq
		}
		if have < appended.secondBefore {
			t.Fatalf("round %d: %d was appended a second before the kill, the disk has %d", round, appended.secondBefore, have)
		}
		lost += max(appended.last, have) - have
		next = have + 1
		if err := s.end(nil); err != nil {
			t.Fatal(err)
		}
	}
	periods, err := readCatalog(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d records in %d periods, %d of the last moment lost", kills, next-1, len(periods), lost)
	if next < uint64(kills)*100 {
		t.Errorf("only %d records were written: the test tests nothing", next-1)
	}
}

type acknowledged struct{ last, secondBefore uint64 }

// killedWriter runs a writer for a while and kills it.
func killedWriter(t *testing.T, dir string, first uint64, life time.Duration) (a acknowledged) {
	t.Helper()
	c := exec.Command(os.Args[0], fmt.Sprint(first))
	c.Env = append(os.Environ(), appendUntilKilled+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var killed time.Time
	time.AfterFunc(life, func() { killed = time.Now(); c.Process.Kill() })
	var lines []string
	for in := bufio.NewScanner(out); in.Scan(); {
		lines = append(lines, in.Text())
	}
	c.Wait()
	for _, line := range lines {
		seq, at, _ := strings.Cut(line, " ")
		n, _ := strconv.ParseUint(seq, 10, 64)
		ns, _ := strconv.ParseInt(at, 10, 64)
		a.last = n
		if killed.Sub(time.Unix(0, ns)) > time.Second {
			a.secondBefore = n
		}
	}
	return a
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
