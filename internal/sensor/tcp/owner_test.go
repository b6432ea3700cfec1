// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/abi"
)

// A master listens, a worker accepts, a client connects and its child closes.
func TestOwners(t *testing.T) {
	w := start(t, "")
	for _, test := range []struct {
		name, family, how, order string
		source                   abi.TcpSource // of the accepted end
	}{
		{"ipv4", "ipv4", "address", "receive", abi.TcpSourceAccept},
		{"ipv6", "ipv6", "address", "receive", abi.TcpSourceAccept},
		{"v4-mapped", "mapped", "address", "receive", abi.TcpSourceAccept},
		{"without address", "ipv4", "null", "receive", abi.TcpSourceIo},
		{"server speaks first", "ipv4", "null", "send", abi.TcpSourceIo},
		{"no data", "ipv4", "null", "nothing", abi.TcpSourceIo},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := play(t, "serve", test.family, test.how, test.order)
			tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
			tr.wantCounts(t, 1, 1, 1, 1)
			w.wantOwner(t, "listen", tr.listen[0], said.pid(t, "master"))
			w.wantOwner(t, "connect", tr.connect[0], said.pid(t, "client"))
			w.wantOwner(t, "close of client", tr.active[0], said.pid(t, "client"))
			w.wantOwner(t, "established", tr.established[0], said.pid(t, "master"))
			w.wantOwner(t, "accept", tr.accept[0], said.pid(t, "worker"))
			w.wantOwner(t, "close of server", tr.passive[0], said.pid(t, "worker"))
			if got := abi.TcpSource(tr.accept[0].Socket.Source); got != test.source && !strings.HasPrefix(w.rung.Name, "fexit") {
				t.Errorf("accept's owner comes from %d, want %d", got, test.source)
			}
			if got, want := tr.connect[0].Socket.Ends.LocalPort, said.port(t, "client_port"); got != want {
				t.Errorf("client's port %d, want %d", got, want)
			}
			wantBytes(t, "client", tr.active[0], said.number(t, "client_sent"), said.number(t, "client_received"))
			wantBytes(t, "worker", tr.passive[0], said.number(t, "worker_sent"), said.number(t, "worker_received"))
			wantOrder(t, tr)
		})
	}
}

// wantOwner compares with the process's last exec, as the process sensor saw it.
func (w *watch) wantOwner(t *testing.T, what string, e Event, pid uint32) {
	t.Helper()
	if want := w.execs[pid]; e.Socket.Owner != want || pid == 0 {
		t.Errorf("%s belongs to %+v, want %+v of process %d", what, e.Socket.Owner, want, pid)
	}
}

func wantBytes(t *testing.T, what string, e Event, sent, received uint64) {
	t.Helper()
	if e.Traffic.BytesSent != sent || e.Traffic.BytesReceived != received {
		t.Errorf("%s: %d bytes sent, %d received, want %d and %d", what, e.Traffic.BytesSent, e.Traffic.BytesReceived, sent, received)
	}
}

// wantOrder: both ends are known before either closes, and each socket keeps its id.
func wantOrder(t *testing.T, tr *trace) {
	t.Helper()
	if tr.connect[0].Socket.ID != tr.active[0].Socket.ID || tr.established[0].Socket.ID != tr.passive[0].Socket.ID {
		t.Errorf("a socket has changed its id")
	}
	if at := tr.established[0].Header.BootNS; at > tr.active[0].Header.BootNS || at > tr.passive[0].Header.BootNS {
		t.Errorf("the passive end is told of after a close")
	}
}

func TestDescriptorPassedOn(t *testing.T) {
	w := start(t, "")
	said := play(t, "hand")
	tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
	tr.wantCounts(t, 1, 1, 1, 1)
	for what, e := range map[string]Event{
		"connect": tr.connect[0], "accept": tr.accept[0], "close of client": tr.active[0], "close of server": tr.passive[0],
	} {
		w.wantOwner(t, what, e, said.pid(t, "master"))
	}
	wantBytes(t, "client", tr.active[0], 10, 20)
}

func TestNonBlockingConnect(t *testing.T) {
	w := start(t, "")
	said := play(t, "nonblocking")
	tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
	tr.wantCounts(t, 1, 1, 1, 1)
	w.wantOwner(t, "connect", tr.connect[0], said.pid(t, "master"))
	wantBytes(t, "client", tr.active[0], 3, 0)
}
