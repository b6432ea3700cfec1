// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(2).within(3)
	for i, c := range []struct {
		uid  uint32
		want bool
	}{{1, true}, {1, true}, {1, false}, {2, true}, {3, false}} {
		if got := l.acquire(c.uid); got != c.want {
			t.Errorf("%d: uid %d: %v", i, c.uid, got)
		}
	}
	l.release(1)
	if !l.acquire(3) || l.acquire(1) {
		t.Error("a place that was given back is not one place")
	}
}

// TestClosedStrangerIsForgotten: whoever connects and closes without end holds no memory
// for what is closed.
func TestClosedStrangerIsForgotten(t *testing.T) {
	a := newAdmission(newRoles(RoleConfig{}, accounts{}, time.Now))
	a.stay = time.Hour
	gone := make(chan struct{})
	func() {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &peerConn{Conn: ours, peer: peer{uid: nobodyUID, gid: nobodyUID}}
		runtime.AddCleanup(c, func(done chan struct{}) { close(done) }, gone)
		if !a.admit(c) || c.timer == nil {
			t.Fatal("the stranger was not let in for a while")
		}
		c.Close()
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the closed connection is still held")
}

// preface begins HTTP/2: a connection that has sent it may be idle for minutes.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// conns connects to the agent as many uids, so many times each, and holds what it gets.
func (a *agent) conns(t *testing.T, first, uids, each int, gid uint32) (held []net.Conn) {
	t.Helper()
	done := make(chan error)
	go func() {
		// Another user's credentials are this thread's only, which ends with the goroutine.
		runtime.LockOSThread()
		_, _, err1 := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, err2 := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		if err1 != 0 || err2 != 0 {
			done <- fmt.Errorf("change group: %w", errors.Join(err1, err2))
			return
		}
		for uid := first; uid < first+uids; uid++ {
			// The real and the saved uid stay root's, to come back.
			for _, id := range []int{0, uid} {
				if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(id), ^uintptr(0)); err != 0 {
					done <- fmt.Errorf("become uid %d: %w", id, err)
					return
				}
			}
			for range each {
				c, err := net.Dial("unix", a.socket)
				if err != nil {
					done <- err
					return
				}
				_, _ = io.WriteString(c, preface) // it may be closed already
				held = append(held, c)
			}
		}
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range held {
			c.Close()
		}
	})
	return held
}

// open counts the connections that the agent has not closed.
func open(held []net.Conn) (n int) {
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			n++
		}
	}
	return n
}

var (
	aViewer  = syscall.Credential{Uid: 61000, Gid: viewGID}
	theWeb   = syscall.Credential{Uid: webUID, Gid: webUID}
	aNobody  = syscall.Credential{Uid: nobodyUID, Gid: nobodyUID}
	aCrowd   = 100000 // the first of many subuids
	manyUIDs = maxConns
)

// However many uids without a role connect, those with a role find a place.
func TestStrangersCannotKeepMembersOut(t *testing.T) {
	needRoot(t)
	a := newAgent(t)
	a.admission.stay = time.Hour
	a.serve(t)
	crowd := a.conns(t, aCrowd, manyUIDs, 1, 100000)
	waitFor(t, "the agent to have seen them all", func() bool {
		return a.admission.refusedStrangers.Load() == uint64(manyUIDs-maxStrangerConns)
	})
	waitFor(t, "as many strangers to be in as may", func() bool { return open(crowd) == maxStrangerConns })
	for who, want := range map[*syscall.Credential]string{
		&aViewer: "view", &theWeb: "view", {Uid: 0, Gid: 0}: "admin", {Uid: 61000, Gid: 61000, Groups: []uint32{operateGID}}: "operate",
	} {
		if said := a.as(t, *who, "identity"); !strings.HasPrefix(said, want+" ") {
			t.Errorf("%+v: %s", who, said)
		}
	}
	if text := scrape(t, a); !strings.Contains(text, fmt.Sprintf(`skep_api_connections_refused_total{role="no"} %d`, manyUIDs-maxStrangerConns)) {
		t.Error("the refused are in no metric")
	}
	for _, c := range crowd {
		c.Close()
	}
	waitFor(t, "a stranger to be told again", func() bool { return strings.Contains(a.as(t, aNobody, "identity"), "usermod -aG") })
}

func TestConnectionsPerUserAreBounded(t *testing.T) {
	needRoot(t)
	a := newAgent(t)
	a.admission.stay = time.Hour
	a.serve(t)
	for name, c := range map[string]struct {
		uid  int
		gid  uint32
		want int
	}{
		"a stranger": {nobodyUID, nobodyUID, maxStrangerConnsPerUID},
		"a member":   {61000, viewGID, maxConnsPerUID},
		"root":       {0, 0, 2 * maxConnsPerUID},
	} {
		held := a.conns(t, c.uid, 1, 2*maxConnsPerUID, c.gid)
		waitFor(t, name+"'s connections to be as many as may be", func() bool { return open(held) == c.want })
		held[0].Close()
		waitFor(t, name+" to get a place that was given back", func() bool { return open(a.conns(t, c.uid, 1, 1, c.gid)) == 1 })
	}
}

// A stranger does not stay, whatever he does, unless he brings a token.
func TestStrangersDoNotStay(t *testing.T) {
	needRoot(t)
	a := newAgent(t)
	a.admission.stay = time.Second
	a.serve(t)
	slow := a.conns(t, nobodyUID, 1, 2, nobodyUID)
	waitFor(t, "the strangers to have to leave", func() bool { return open(slow) == 0 })
	member := a.conns(t, 61000, 1, 1, viewGID)
	time.Sleep(2 * a.admission.stay)
	if open(member) != 1 {
		t.Error("a member had to leave")
	}
	made, err := client(a.socket).CreateToken(t.Context(), &skepv1.CreateTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	follower := a.actor(t, aNobody, "follow", "TOKEN="+made.GetToken())
	var said bytes.Buffer
	follower.Stdout = &said
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the stream", func() bool { return len(a.log.Cursors()) == 1 })
	time.Sleep(2 * a.admission.stay)
	a.fill(event.Exec, 0, 1)
	if err := follower.Wait(); err != nil || said.String() != "1 record, <nil>\n" {
		t.Errorf("with a token: %v: %s", err, said.String())
	}
}

// playFollow waits for a record.
func playFollow(socket string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := connect.NewClient[skepv1.ObserveRequest, skepv1.ObserveResponse](httpClient(socket, false), "http://skep/skep.v1.AgentService/Observe")
	req := connect.NewRequest(&skepv1.ObserveRequest{Follow: true})
	req.Header().Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	s, err := c.CallServerStream(ctx, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	n := 0
	for n == 0 && s.Receive() {
		n += len(s.Msg().GetRecords())
	}
	fmt.Printf("%d record, %v\n", n, s.Err())
}
