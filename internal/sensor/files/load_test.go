// SPDX-License-Identifier: Apache-2.0

package files

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// maxVerified is the most instructions that the verifier may walk through for one program,
// a tenth above what the largest takes on any kernel of the matrix.
const maxVerified = 43_000

// TestLoad: on each rung that works here the programs load, for how much of the verifier
// is in the log.
func TestLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	works, refused := 0, map[string]string{}
	for _, r := range Sensor().Ladders[0].Rungs {
		kernel, err := kern.Open(kern.Options{Force: map[string]string{Signal: r.Name}}, process.Sensor(), Sensor())
		if err != nil {
			t.Fatal(err)
		}
		signals, err := kernel.Attach(Sensor())
		if err != nil {
			t.Fatal(err)
		}
		for _, report := range signals[0].Reports {
			if report.Name == r.Name {
				t.Logf("%s: %s %s", r.Name, report.State, report.Reason)
				// What a kernel lacks is another error.
				if strings.Contains(report.Reason, "verifier") && !strings.Contains(report.Reason, "EPERM") && !strings.Contains(report.Reason, "func unknown") &&
					!strings.Contains(report.Reason, "STRUCT is unsupported") { // 5.10 knows no hook with an argument that is a struct (a kuid_t)
					refused[r.Name] = report.Reason
				}
			}
		}
		for _, p := range kernel.Stats() {
			works++
			t.Logf("%s: %s takes the verifier %d instructions", r.Name, p.Name, p.Instructions)
			if p.Instructions > maxVerified {
				t.Errorf("%s takes more than %d", p.Name, maxVerified)
			}
		}
		kernel.Close()
	}
	if works == 0 {
		t.Error("no rung works here")
	}
	for rung, reason := range refused {
		t.Errorf("%s is refused by the verifier: %s", rung, reason)
	}
}

// TestCalls: the table says of each system call what its manual says.
func TestCalls(t *testing.T) {
	table := calls()
	want := abi.FileCall{Operation: uint8(abi.FileRename), Directory: [2]uint8{1, 3}, Name: [2]uint8{2, 4}, Details: [2]uint8{5, 0}}
	if got := table[unix.SYS_RENAMEAT2]; got != want {
		t.Errorf("renameat2 is %+v", got)
	}
	if table[unix.SYS_READ].Operation != 0 || table[unix.SYS_CLOSE].Operation != 0 {
		t.Error("a call that is no operation has one")
	}
	for number, c := range table {
		for _, argument := range []uint8{c.Directory[0], c.Directory[1], c.Name[0], c.Name[1], c.Details[0], c.Details[1], c.How} {
			if argument > 5 {
				t.Errorf("call %d: argument %d cannot be read", number, argument)
			}
		}
		if op := abi.FileOperation(c.Operation); op != 0 && op != abi.FileMount && c.Name[0] == 0 && c.Directory[0] == 0 {
			t.Errorf("call %d has no object", number)
		}
	}
}
