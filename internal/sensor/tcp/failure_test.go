// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

func TestFailedConnects(t *testing.T) {
	w := start(t, "")
	said := play(t, "fail")
	for _, test := range []struct {
		name  string
		errno unix.Errno // as connect(2) gave it to the program
		want  unix.Errno // in the record
		early bool       // within connect(2): only fexit knows the errno
	}{
		{"refused", unix.ECONNREFUSED, unix.ECONNREFUSED, false},
		{"refused6", unix.ECONNREFUSED, unix.ECONNREFUSED, false},
		{"timeout", unix.ETIMEDOUT, unix.ETIMEDOUT, false},
		{"cancelled", unix.EINPROGRESS, unix.ECANCELED, false},
		{"busy", unix.EADDRNOTAVAIL, unix.EADDRNOTAVAIL, true},
		{"unreachable", unix.ENETUNREACH, unix.ENETUNREACH, true},
		{"unreachable6", unix.EADDRNOTAVAIL, unix.EADDRNOTAVAIL, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := w.until(t, said.port(t, test.name), "a failed connect", func(tr *trace) bool {
				return len(failedBy(tr, test.want, test.early)) > 0
			})
			e := failedBy(tr, test.want, test.early)[0]
			if got := said.number(t, test.name+"_errno"); got != uint64(test.errno) {
				t.Errorf("the program had errno %d, want %d", got, test.errno)
			}
			want := uint16(test.want)
			if test.early && !strings.HasPrefix(w.rung.Name, "fexit") {
				want = 0
			}
			if e.Error != want {
				t.Errorf("errno %d, want %d", e.Error, want)
			}
			w.wantOwner(t, "failed connect", e, said.pid(t, "pid"))
			if e.Socket.EstablishedNS != 0 || abi.TcpSource(e.Socket.Source) != abi.TcpSourceConnect {
				t.Errorf("record is %+v", e.Socket)
			}
		})
	}
	t.Run("twice on one socket", func(t *testing.T) {
		tr := w.until(t, said.port(t, "again"), "both attempts", func(tr *trace) bool { return len(tr.failed) >= 2 })
		if len(tr.failed) != 2 {
			t.Errorf("%v, want 2 failed", tr)
		}
	})
}

// failedBy picks the one attempt among those that only filled a listener's queue.
func failedBy(tr *trace, errno unix.Errno, early bool) []Event {
	var all []Event
	for _, e := range tr.failed {
		if early || e.Error == uint16(errno) {
			all = append(all, e)
		}
	}
	return all
}

func TestEndings(t *testing.T) {
	w := start(t, "")
	for _, test := range []struct {
		name           string
		active, passve abi.TcpReason
	}{
		{"local", abi.TcpReasonLocal, abi.TcpReasonPeer},
		{"peer", abi.TcpReasonPeer, abi.TcpReasonLocal},
		{"nothing", abi.TcpReasonLocal, abi.TcpReasonPeer},
		{"half", abi.TcpReasonLocal, abi.TcpReasonPeer},
		{"unread", abi.TcpReasonAbort, abi.TcpReasonReset},
		{"half_unread", abi.TcpReasonAbort, abi.TcpReasonReset},
		{"linger", abi.TcpReasonAbort, abi.TcpReasonReset},
		{"unaccepted", abi.TcpReasonReset, abi.TcpReasonUnaccepted},
		{"reset_early", abi.TcpReasonAbort, abi.TcpReasonReset},
		{"big", abi.TcpReasonPeer, abi.TcpReasonLocal},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := play(t, "endings", test.name)
			accepts := 1
			// The hash has forgotten by its accept what was reset before.
			if test.name == "unaccepted" || test.name == "reset_early" && !CanScan(*w.rung) {
				accepts = 0
			}
			tr := w.until(t, said.port(t, "port"), "both closes", func(tr *trace) bool { return closed(1)(tr) && len(tr.accept) >= accepts })
			tr.wantCounts(t, 1, 1, accepts, 1)
			active, passive := tr.active[0], tr.passive[0]
			if a, p := abi.TcpReason(active.Reason), abi.TcpReason(passive.Reason); a != test.active || p != test.passve {
				t.Errorf("reasons %d and %d, want %d and %d", a, p, test.active, test.passve)
			}
			sent, received := said.number(t, "sent"), said.number(t, "received")
			if test.name == "half" && received != 100_000 || test.name == "big" && received != 30_000_000 {
				t.Errorf("the client had %d bytes", received)
			}
			wantBytes(t, "client", active, sent, received)
			wantBytes(t, "server", passive, received, sent)
			if active.Traffic.SegmentsSent == 0 || active.Traffic.RTTUs == 0 || active.Traffic.RTTUs > 1e6 {
				t.Errorf("client: %d segments, rtt %d us", active.Traffic.SegmentsSent, active.Traffic.RTTUs)
			}
		})
	}
}
