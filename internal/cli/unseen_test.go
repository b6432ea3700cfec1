// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func TestUnwatched(t *testing.T) {
	off := func(signal, reason string) *skepv1.SignalStatus {
		return &skepv1.SignalStatus{Signal: signal, Rungs: []*skepv1.RungStatus{{Name: "fexit", State: "off", Reason: reason}, {Name: "tp_btf", State: "off", Reason: reason}}}
	}
	on := func(signal string) *skepv1.SignalStatus {
		return &skepv1.SignalStatus{Signal: signal, Rung: "tp_btf", Available: true}
	}
	for _, c := range []struct {
		kind    string
		signals []*skepv1.SignalStatus
		want    string
	}{
		{"exec", []*skepv1.SignalStatus{on("exec")}, ""},
		{"file", nil, "sensors.files.paths of skep.yaml names no path"},
		{"file", []*skepv1.SignalStatus{on("file")}, ""},
		{"connect", []*skepv1.SignalStatus{on("exec"), off("tcp", "shed")}, "shed"},
		{"dns", []*skepv1.SignalStatus{on("exec"), off("dns", "not wanted")}, "not wanted"},
		{"host", []*skepv1.SignalStatus{off("ptrace", "not wanted"), off("kill", "shed")}, "not wanted; shed"},
		{"host", []*skepv1.SignalStatus{off("ptrace", "not wanted"), on("kill")}, ""},
		{"agent", []*skepv1.SignalStatus{on("exec")}, ""},
	} {
		if got := unwatched(c.kind, c.signals); got != c.want {
			t.Errorf("kind %s with %v: %q, want %q", c.kind, c.signals, got, c.want)
		}
	}
}

// TestTellUnseen: an agent that does not answer any more is told, and Ctrl-C is no fault.
func TestTellUnseen(t *testing.T) {
	var said bytes.Buffer
	a := &app{err: &said}
	c := newClient(filepath.Join(t.TempDir(), "none.sock"), time.Second)
	defer c.close()
	req := &skepv1.ObserveRequest{Since: durationpb.New(time.Hour)}
	ended, end := context.WithCancel(t.Context())
	end()
	if a.tellUnseen(ended, c, req); said.Len() > 0 {
		t.Errorf("after Ctrl-C it said %s", said.String())
	}
	if a.tellUnseen(t.Context(), c, req); !strings.Contains(said.String(), "could not be asked") {
		t.Errorf("of an agent that is gone it said %q", said.String())
	}
}
