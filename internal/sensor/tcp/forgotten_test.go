// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"os/exec"
	"testing"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// A process's record goes before its descriptors are closed. Where only that tells who
// has accepted a connection, the time of its exec is not known, and said to be so: its
// start would be the image from before the exec.
func TestAcceptedByTheEnding(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			said := play(t, "serve", "ipv4", "null", "exit")
			tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
			tr.wantCounts(t, 1, 1, 1, 1)
			known := w.execs[said.pid(t, "worker")]
			unknown := known
			unknown.ExecNS = 0
			for _, e := range []Event{tr.accept[0], tr.passive[0]} {
				if got := e.Socket.Owner; got != known && got != unknown || known.Tgid == 0 {
					t.Errorf("event %d belongs to %+v, want %+v, maybe without its exec", e.Header.Type, got, known)
				}
			}
		})
	}
}

// Processes for which there is no room have all executed something, when is not known.
func TestFullProcessTable(t *testing.T) {
	w := startWith(t, Sensor(), kern.Options{MapEntries: map[string]uint32{"telemetry": 1 << 20, "critical": 1 << 20, "processes": 2}})
	for range 4 {
		filler := exec.Command("sleep", "1000")
		if err := filler.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = filler.Process.Kill(); _ = filler.Wait() })
	}
	said := play(t, "serve", "ipv4", "address", "receive")
	tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
	tr.wantCounts(t, 1, 1, 1, 1)
	for role, e := range map[string]Event{"master": tr.listen[0], "client": tr.connect[0], "worker": tr.accept[0]} {
		want := w.execs[said.pid(t, role)]
		want.ExecNS = 0
		if e.Socket.Owner != want || want.Tgid == 0 {
			t.Errorf("what %s did belongs to %+v, want %+v", role, e.Socket.Owner, want)
		}
	}
	var losses kern.Losses
	if err := w.kernel.ReadLosses(&losses); err != nil {
		t.Fatal(err)
	}
	if losses[abi.LossTableFull][abi.EventExec] == 0 {
		t.Error("that there is no room is not counted")
	}
}
