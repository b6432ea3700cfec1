// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// heldPrograms counts the programs that this process has open, as the kernel shows it.
func heldPrograms(t *testing.T) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && to == "anon_inode:bpf-prog" {
			n++
		}
	}
	return n
}

// TestPrepare: what was prepared is loaded once, of each ladder the best rung that loads, and
// what nobody asks for is let go.
func TestPrepare(t *testing.T) {
	s := ladderOf(false, "broken: fork_btf nonsense", "good: fork_btf exec_btf", "lower: exit_btf")
	s.Scans = []string{"existing"}
	for _, end := range []struct {
		name string
		call func(*Kernel) error
	}{{"settle", (*Kernel).Settle}, {"close", (*Kernel).Close}, {"abort", (*Kernel).Abort}} {
		t.Run(end.name, func(t *testing.T) {
			k := openPrivate(t, s, nil)
			before := heldPrograms(t)
			k.Prepare(s)
			k.early.group.Wait()
			if n := heldPrograms(t) - before; n != 3 {
				t.Errorf("%d programs are loaded, want fork_btf, exec_btf and existing", n)
			}
			if err := end.call(k); err != nil {
				t.Fatal(err)
			}
			if n := heldPrograms(t) - before; n != 0 {
				t.Errorf("%d programs are left", n)
			}
		})
	}
	t.Run("used", func(t *testing.T) {
		k := openPrivate(t, s, nil)
		k.Prepare(s)
		k.early.group.Wait()
		early := k.early.loads[loadKey(s, s.Ladders[0], &s.Ladders[0].Rungs[1])].programs["exec_btf"]
		info, err := early.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		signals, err := k.Attach(s)
		if err != nil || signals[0].Rung == nil || signals[0].Rung.Name != "good" {
			t.Fatal(signals, err)
		}
		attached := slices.IndexFunc(k.programs, func(p *Program) bool { return p.Name == "exec_btf" })
		if now := k.programs[attached].id; now != uint32(id) {
			t.Errorf("program %d is attached, %d was loaded before", now, id)
		}
		if out, err := k.Scan(s, "existing"); err != nil || len(out) == 0 {
			t.Error(len(out), err)
		}
		if len(k.early.loads) != 1 { // of the lower rung
			t.Errorf("not taken: %v", k.early.loads)
		}
	})
}
