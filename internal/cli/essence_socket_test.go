// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func TestSocketEssence(t *testing.T) {
	flow := &skepv1.Connection{Local: &skepv1.Endpoint{Address: "10.0.0.5", Port: 5000}, Remote: &skepv1.Endpoint{Address: "2001:db8::7", Port: 443},
		BytesSent: 2048, PacketsSent: 3, BytesReceived: 10, PacketsReceived: 1, DurationNs: 1_500_000_000, Direction: "inbound",
		Peer: &skepv1.Peer{Pid: 7, Comm: "se\x1bver"}}
	ended := &skepv1.Connection{Local: flow.Local, Remote: flow.Remote, CloseReason: "idle"}
	for _, tt := range []struct {
		record *skepv1.Record
		want   string
	}{
		{&skepv1.Record{Kind: "udp", Body: &skepv1.Record_Connection{Connection: flow}},
			`10.0.0.5:5000 <- [2001:db8::7]:443 (se\x1bver[7]) sent 2KiB in 3 rcvd 10B in 1 over 1.5s, so far`},
		{&skepv1.Record{Kind: "udp", Body: &skepv1.Record_Connection{Connection: ended}},
			`10.0.0.5:5000 -> [2001:db8::7]:443 sent 0B in 0 rcvd 0B in 0, idle`},
		{&skepv1.Record{Kind: "unix", Body: &skepv1.Record_Unix{Unix: &skepv1.UnixConnect{Path: "/a\nb", Type: "seqpacket", Peer: &skepv1.Peer{Pid: 9}, PeerGone: true}}},
			`-> /a\nb ([9]) [gone] seqpacket`},
		{&skepv1.Record{Kind: "unix", Body: &skepv1.Record_Unix{Unix: &skepv1.UnixConnect{Type: "stream", PathUnknown: true, ErrorName: "EACCES"}}},
			`-> [name not known] EACCES`},
	} {
		if got := string(newEssence(screen{}).record(nil, tt.record)); got != tt.want {
			t.Errorf("%v is shown as\n%s, want\n%s", tt.record, got, tt.want)
		}
	}
}
