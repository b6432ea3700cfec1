// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// turns are which of a handler's two programs is there. That the kernel leaves out the
// first is rare and takes a busy CPU; that it is not attached is the same to the second.
var turns = map[string]func(signal string) []string{
	"none":   func(string) []string { return nil },
	"rescue": func(signal string) []string { return []string{signal + "2_btf"} },
	"both":   func(signal string) []string { return []string{signal + "_btf", signal + "2_btf"} },
}

// TestTurns: whichever of the two programs runs, and whether what came before was seen or
// not, each fork, exec and exit makes just one record, which names process and parent.
func TestTurns(t *testing.T) {
	for _, fork := range []string{"none", "rescue", "both"} {
		for _, exec := range []string{"none", "rescue"} {
			for _, exit := range []string{"rescue", "both"} {
				t.Run(fmt.Sprintf("fork %s, exec %s, exit %s", fork, exec, exit), func(t *testing.T) {
					testTurns(t, map[abi.EventType]string{abi.EventFork: fork, abi.EventExec: exec, abi.EventExit: exit})
				})
			}
		}
	}
}

func testTurns(t *testing.T, attached map[abi.EventType]string) {
	seen := watchChild(t, kern.Sensor{Name: "process", Ladders: []kern.Ladder{
		turnLadder("fork", turns[attached[abi.EventFork]]),
		turnLadder("exec", turns[attached[abi.EventExec]]),
		turnLadder("exit", turns[attached[abi.EventExit]]),
	}})
	for typ, which := range attached {
		want := 1
		if which == "none" {
			want = 0
		}
		if len(seen[typ]) != want {
			t.Errorf("%d records of type %d, want %d", len(seen[typ]), typ, want)
		}
		for _, p := range seen[typ] {
			if p.Parent.Tgid != uint32(os.Getpid()) || p.Parent.StartNS == 0 || p.ID.StartNS <= p.Parent.StartNS {
				t.Errorf("record of type %d: process %+v of parent %+v, which is %d", typ, p.ID, p.Parent, os.Getpid())
			}
		}
	}
}

func turnLadder(signal string, programs func(string) []string) kern.Ladder {
	return kern.Ladder{Signal: signal, Intent: kern.See, Required: true, Rungs: []kern.Rung{{Name: "tp_btf", Programs: programs(signal)}}}
}

// childRecords are those of one process, by type.
type childRecords struct {
	pid  uint32
	seen map[abi.EventType][]abi.Process
}

func (c *childRecords) Critical(raw []byte) {
	var p abi.Process
	if Decode(raw[unsafe.Sizeof(abi.EventHeader{}):], &p) == nil && p.ID.Tgid == c.pid {
		typ := abi.EventType(binary.NativeEndian.Uint16(raw))
		c.seen[typ] = append(c.seen[typ], p)
	}
}

func (c *childRecords) Telemetry([]byte) {}
func (c *childRecords) Flush()           {}

// attached attaches a sensor for as long as the test lasts, and opens its rings.
func attached(t *testing.T, sensor kern.Sensor) *kern.Reader {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	kernel, err := kern.Open(kern.Options{}, sensor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	if _, err := kernel.Attach(sensor); err != nil {
		t.Fatal(err)
	}
	reader, err := kernel.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader
}

// watchChild runs a child under the sensor and returns its process as each record names it.
func watchChild(t *testing.T, sensor kern.Sensor) map[abi.EventType][]abi.Process {
	t.Helper()
	reader := attached(t, sensor)
	child := exec.Command("/bin/sh", "-c", ":")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	records := &childRecords{pid: uint32(child.Process.Pid), seen: map[abi.EventType][]abi.Process{}}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(records.seen[abi.EventExit]) == 0; {
		reader.Pass(records)
	}
	reader.Pass(records) // what comes twice comes at once
	return records.seen
}
