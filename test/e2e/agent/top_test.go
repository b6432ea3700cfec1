// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// sums adds up the measurements of a Top stream, by what tells its rows apart.
type sums struct {
	mutex sync.Mutex
	of    map[string]*skepv1.TopRow
	n     int
}

func (a *agent) sumTop(req *skepv1.TopRequest, key func(*skepv1.Process) string) *sums {
	t := a.house.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req.Interval = durationpb.New(time.Second)
	stream, err := a.Top(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	s := &sums{of: map[string]*skepv1.TopRow{}}
	go func() {
		for stream.Receive() {
			s.add(stream.Msg(), key)
		}
	}()
	within(t, skepdtest.Patience, "it measures", func() error {
		if s.count() == 0 {
			return fmt.Errorf("nothing came")
		}
		return nil
	})
	return s
}

// add makes amounts of the rates again.
func (s *sums) add(m *skepv1.TopResponse, key func(*skepv1.Process) string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.n++
	seconds := m.Measured.AsDuration().Seconds()
	for _, r := range m.Rows {
		k := key(r.Process)
		if s.of[k] == nil {
			s.of[k] = &skepv1.TopRow{}
		}
		sum := s.of[k]
		sum.Events += r.Events * seconds
		sum.Connects += r.Connects * seconds
		sum.BytesSent += r.BytesSent * seconds
		sum.BytesReceived += r.BytesReceived * seconds
		sum.Cpu += r.Cpu * seconds
		sum.Connections = r.Connections // of the last
	}
}

func (s *sums) count() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.n
}

// row is the sum of one, with its numbers whole.
func (s *sums) row(key string) (events, connects, sent, received uint64, connections uint32, cpu float64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r := s.of[key]
	whole := func(v float64) uint64 { return uint64(math.Round(v)) }
	return whole(r.GetEvents()), whole(r.GetConnects()), whole(r.GetBytesSent()), whole(r.GetBytesReceived()), r.GetConnections(), r.GetCpu()
}

// TestTopCountsTraffic: the measurements add up to what a program has done, to the byte: of
// connections that ended at once, of one that is open, and of one from before.
func TestTopCountsTraffic(t *testing.T) {
	const connections, size = 300, 4321
	h := newPrivateHouse(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // echoes
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	echo := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := h.start()
	before := dial()
	defer before.Close()
	echo(before)
	s := a.observe("connect", "accept", "close")
	self := fmt.Sprint(os.Getpid())
	sum := a.sumTop(&skepv1.TopRequest{Filter: &skepv1.Filter{Pids: []uint32{uint32(os.Getpid())}}}, func(p *skepv1.Process) string { return fmt.Sprint(p.Pid) })
	// What is asked for before this comes with all that went over it until now.
	started := s.all()
	for range connections {
		c := dial()
		echo(c)
		c.Close()
	}
	open := dial()
	defer open.Close()
	echo(open)
	echo(before)
	mine := func() (n uint64) {
		for _, r := range s.all()[len(started):] {
			if r.Process.GetPid() == uint32(os.Getpid()) {
				n++
			}
		}
		return n
	}
	// Both ends are of this process: each connection is made and accepted here, each byte of
	// the echo is sent twice and received twice.
	const bytes = 2 * size * (connections + 2)
	within(t, skepdtest.Patience, "all is counted", func() error {
		events, connects, sent, received, now, _ := sum.row(self)
		if connects != 2*(connections+1) || sent != bytes || received != bytes || now != 4 || events < 4*connections {
			return fmt.Errorf("%d connects, %d bytes sent, %d received, %d open, %d events; want %d, %d, %d, 4",
				connects, sent, received, now, events, 2*(connections+1), bytes, bytes)
		}
		return nil
	})
	if n := mine(); n != 4*connections+2 {
		t.Errorf("%d records in the stream, want %d", n, 4*connections+2)
	}
	a.stop()
}

// TestTopCountsProcesses: of processes that are gone before anybody can look at them each
// record is counted, and all their CPU time; of one that runs on, what the kernel says at
// its end.
func TestTopCountsProcesses(t *testing.T) {
	h := newPrivateHouse(t)
	a := h.start()
	sum := a.sumTop(&skepv1.TopRequest{Group: "exe"}, func(p *skepv1.Process) string { return p.Exe })
	path := filepath.Join(t.TempDir(), "busy")
	text, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	busy := exec.Command(path, "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	seen := sum.count()
	within(t, skepdtest.Patience, "it runs for three measurements", func() error {
		if sum.count() < seen+3 {
			return fmt.Errorf("%d so far", sum.count()-seen)
		}
		return nil
	})
	busy.Process.Kill()
	busy.Wait()
	used := (busy.ProcessState.UserTime() + busy.ProcessState.SystemTime()).Seconds()
	load := startRunner(t)
	time.Sleep(2 * time.Second) // some work
	runs := load.end()
	within(t, skepdtest.Patience, "all is counted", func() error {
		// Fork, exec and exit; but one whose exec came in the next measurement only is its
		// parent's image in the first.
		if events, _, _, _, _, _ := sum.row(load.path); events > 3*runs || events+uint64(sum.count()) < 3*runs {
			return fmt.Errorf("%d events of %d processes", events, runs)
		}
		if events, _, _, _, _, cpu := sum.row(path); events < 2 || events > 3 || math.Abs(cpu-used) > 0.05+used/50 {
			return fmt.Errorf("%.3f s of CPU, the kernel says %.3f; %d events", cpu, used, events)
		}
		return nil
	})
	t.Logf("%d processes; %.3f s of CPU", runs, used)

	var got struct {
		Rows []struct{ Process struct{ Pid int } }
	}
	out := h.skep("top", "--once", "--interval", "1s", "-o", "json", "-n", "2", "--by", "cpu")
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Rows) < 1 || len(got.Rows) > 2 || got.Rows[0].Process.Pid == 0 {
		t.Errorf("%v: %s", err, out)
	}
	if table := h.skep("top", "--once", "--interval", "1s", "--group", "container"); !strings.Contains(table, "(host)") {
		t.Errorf("%s", table)
	}
	a.stop()
}
