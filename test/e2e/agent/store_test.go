// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// told is what the tests read of a record.
type told struct {
	Kind    string
	Seq     uint64
	BootID  string `json:"boot_id"`
	Time    time.Time
	Process struct{ Pid int }
	Exec    struct{ Args []string }
	Loss    struct {
		Place    string
		LostKind string `json:"lost_kind"`
		Count    uint64
		FirstSeq uint64 `json:"first_seq"`
		Detail   string
	}
}

func tellings(t *testing.T, text string) (all []told) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r told
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// mark runs processes whose arguments say which they are.
func mark(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := exec.Command("true", "look-back", strconv.Itoa(i)).Run(); err != nil {
			t.Fatal(err)
		}
	}
}

// marks counts the exec records of each marked process, and checks the order of all.
func marks(t *testing.T, records []told) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for i, r := range records {
		if i > 0 && r.Time.Before(records[i-1].Time) {
			t.Errorf("record %d (%s %d) is older than the one before it", i, r.Kind, r.Seq)
		}
		if r.Kind == "exec" && len(r.Exec.Args) == 3 && r.Exec.Args[1] == "look-back" {
			counts[r.Exec.Args[2]]++
		}
	}
	return counts
}

func wantMarks(t *testing.T, counts map[string]int, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if n := counts[strconv.Itoa(i)]; n != 1 {
			t.Errorf("process %d is there %d times", i, n)
		}
	}
	if len(counts) != to-from {
		t.Errorf("%d processes, want %d", len(counts), to-from)
	}
}

// TestLookBack: what happened before a restart, and before a kill -9, is found, once and
// in order; the process table of a time in the past is that of ps at that time.
func TestLookBack(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}")
	a := h.start()
	begin := time.Now()
	old := sleeper(t)
	mark(t, 0, 200)
	time.Sleep(100 * time.Millisecond)
	before := livePids(t)
	then := time.Now()
	after := livePids(t)
	time.Sleep(100 * time.Millisecond)
	old.Process.Kill()
	old.Wait()
	mark(t, 200, 300)
	time.Sleep(1500 * time.Millisecond)
	a.kill()
	mark(t, 300, 320) // the programs go on, and the next agent reads what they saw

	a = h.start()
	mark(t, 320, 400)
	a.stop()
	a = h.start()
	mark(t, 400, 410)
	within(t, 10*time.Second, "the last process is shown", func() error {
		if !strings.Contains(h.skep("observe", "--since", "1h", "--comm", "true", "-o", "json"), `"409"`) {
			return errors.New("it is not")
		}
		return nil
	})
	records := tellings(t, h.skep("observe", "--since", begin.Format(time.RFC3339Nano), "-o", "json"))
	wantMarks(t, marks(t, records), 0, 410)
	wantNoneLost(t, afterKills(records))
	wantMarks(t, marks(t, tellings(t, h.skep("export", "-o", "jsonl", "--since", begin.Format(time.RFC3339Nano), "--comm", "true", "-"))), 0, 410)
	wantMarks(t, marks(t, tellings(t, h.skep("observe", "--last", "1230", "--comm", "true", "-o", "json"))), 0, 410)
	bounded := marks(t, tellings(t, h.skep("observe", "--since", "1h", "--until", then.Format(time.RFC3339Nano), "-o", "json")))
	wantMarks(t, bounded, 0, 200)
	h.wantTree(then, before, after, old.Process.Pid)

	file := filepath.Join(h.dir, "export.parquet")
	h.skep("export", file)
	if b, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(b, []byte("PAR1")) || !bytes.HasSuffix(b, []byte("PAR1")) {
		t.Errorf("the export is no Parquet file (%v)", err)
	}
	if out := h.skep("status"); !strings.Contains(out, "Disk log") {
		t.Errorf("status does not speak of the disk log:\n%s", out)
	}
}

// TestAfterReboot: an agent that starts on the data of another boot, with no pins, before the
// network has its addresses, numbers anew under that boot and shows what was before it.
func TestAfterReboot(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}", "metrics: {listen: '192.0.2.1:0'}")
	a := h.start()
	first := a.status().BootId
	mark(t, 0, 5)
	h.waitForMark(4)
	a.stop()
	if out, err := h.command("remove").CombinedOutput(); err != nil {
		t.Fatalf("skepd remove: %v: %s", err, out)
	}
	second := "5a2f0a9e-4c3b-4d7a-9f4e-0123456789ab"
	h.write("boot", second+"\n")
	a = h.startAs(as(h.command("run"), "boot "+filepath.Join(h.dir, "boot")))
	if got := a.status().BootId; got != second || first == second {
		t.Errorf("boots %q and %q", first, got)
	}
	mark(t, 5, 10)
	h.waitForMark(9)
	records := tellings(t, h.skep("observe", "--since", "1h", "--kind", "exec", "--comm", "true", "-o", "json"))
	wantMarks(t, marks(t, records), 0, 10)
	wantNoneLost(t, records)
	for _, r := range records {
		if n, _ := strconv.Atoi(r.Exec.Args[2]); r.BootID != map[bool]string{true: first, false: second}[n < 5] {
			t.Errorf("process %d is of boot %q", n, r.BootID)
		}
	}
	a.stop()
}

// waitForMark waits until a marked process is found.
func (h *house) waitForMark(n int) {
	h.t.Helper()
	within(h.t, skepdtest.Patience, "the last process is shown", func() error {
		if !strings.Contains(h.skep("observe", "--since", "1h", "--kind", "exec", "--comm", "true", "-o", "json"), fmt.Sprintf("%q", strconv.Itoa(n))) {
			return errors.New("it is not")
		}
		return nil
	})
}

// TestGapIsCounted: what an earlier agent did not store is told, and counted like any loss.
func TestGapIsCounted(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}")
	run := func(store string, from, to int) {
		h.yaml = strings.NewReplacer("{enabled: true}", store, "{enabled: false}", store).Replace(h.yaml)
		a := h.start()
		mark(t, from, to)
		a.stop()
	}
	run("{enabled: true}", 0, 20)
	run("{enabled: false}", 20, 50)
	h.yaml = strings.Replace(h.yaml, "{enabled: false}", "{enabled: true}", 1)
	a := h.start()
	within(t, skepdtest.Patience, "what was not stored is counted", func() error {
		if n := lossOf(a.status(), "store", "exec"); n < 30 {
			return fmt.Errorf("%d execs, want 30 or more", n)
		}
		return nil
	})
	counted := uint64(0)
	for _, r := range tellings(t, h.skep("observe", "--since", "1h", "--kind", "loss", "-o", "json")) {
		if r.Loss.Place == "store" && r.Loss.LostKind == "exec" {
			counted += r.Loss.Count
		}
	}
	if n := lossOf(a.status(), "store", "exec"); n != counted {
		t.Errorf("%d are counted, %d told", n, counted)
	}
	a.stop()
}

// livePids are the processes that /proc shows, without those that have ended and are not
// waited for.
func livePids(t *testing.T) map[int]bool {
	t.Helper()
	pids := map[int]bool{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile("/proc/" + e.Name() + "/stat"); err == nil && !bytes.Contains(stat, []byte(") Z ")) {
			pids[pid] = true
		}
	}
	return pids
}

// wantTree compares the table of a time in the past with what /proc showed just before and
// just after. A process of this host may have begun and ended in between.
func (h *house) wantTree(then time.Time, before, after map[int]bool, old int) {
	h.t.Helper()
	shown := map[int]bool{}
	for line := range strings.Lines(h.skep("ps", "--at", then.Format(time.RFC3339Nano), "-o", "json")) {
		var p struct{ Process struct{ Pid int } }
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			h.t.Fatal(err)
		}
		shown[p.Process.Pid] = true
	}
	wrong := 0
	for pid := range before {
		if after[pid] && !shown[pid] {
			wrong++
		}
	}
	for pid := range shown {
		if !before[pid] && !after[pid] {
			wrong++
		}
	}
	if wrong > 3 || !shown[old] || !shown[os.Getpid()] {
		h.t.Errorf("of %d processes then, %d shown, %d wrong; the one that ended since: %v", len(after), len(shown), wrong, shown[old])
	}
	if now := h.skep("ps", "-o", "json"); strings.Contains(now, fmt.Sprintf(`"pid":%d,`, old)) {
		h.t.Error("the process that has ended is in the table of now")
	}
	if tree := h.skep("ps", "--tree", "--at", then.Format(time.RFC3339Nano)); !strings.Contains(tree, "sleep 3600") {
		h.t.Errorf("the tree lacks the process:\n%s", tree)
	}
}

// TestUnreadableLogs: what is no log, such as the empty file that a power cut leaves, does
// not keep the logs behind it from being closed. The agent's own child closes them.
func TestUnreadableLogs(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}")
	a := h.start()
	mark(t, 0, 20)
	within(t, 10*time.Second, "the processes are stored", func() error {
		if n := len(marks(t, tellings(t, h.skep("observe", "--since", "1h", "--comm", "true", "-o", "json")))); n != 20 {
			return fmt.Errorf("%d of 20", n)
		}
		return nil
	})
	a.stop()
	logs, err := filepath.Glob(filepath.Join(h.dir, "*", "store", "*.wal"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	store := filepath.Dir(logs[0])
	if err := os.Rename(logs[0], filepath.Join(store, "00000003.wal")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"00000001.wal": "", "00000002.wal": "this is no log", "00000004.wal": strings.Repeat("nor is this ", 9)} {
		if err := os.WriteFile(filepath.Join(store, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a = h.start()
	within(t, 30*time.Second, "the logs are closed", func() error {
		logs, _ := filepath.Glob(filepath.Join(store, "*.wal"))
		segments, _ := filepath.Glob(filepath.Join(store, "exec-00000003-*.parquet"))
		if len(logs) != 1 || filepath.Base(logs[0]) != "00000005.wal" || len(segments) != 1 {
			return fmt.Errorf("logs %v, segments %v", logs, segments)
		}
		return nil
	})
	wantMarks(t, marks(t, tellings(t, h.skep("observe", "--since", "1h", "--comm", "true", "-o", "json"))), 0, 20)
	a.stop()
	segments, err := filepath.Glob(filepath.Join(store, "exec-00000003-*.parquet"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	flip(t, segments[0])
	h.start()
	named := func(r told) bool {
		return r.Kind == "loss" && strings.Contains(r.Loss.Detail, filepath.Base(segments[0]))
	}
	if records := tellings(t, h.skep("observe", "--since", "1h", "-o", "json")); !slices.ContainsFunc(records, named) {
		t.Errorf("no loss names %s, in which a byte is wrong", segments[0])
	}
}

// flip makes another byte of one in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 0xff
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDrainedIntoDiskLog: what waited in the rings while nobody was there is more than the
// event log holds, and all of it gets to the disk.
func TestDrainedIntoDiskLog(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}", "history: {max_bytes: 1MiB}")
	h.start().kill()
	begin := time.Now()
	mark(t, 0, 2000)
	h.start().stop()
	h.start()
	records := tellings(t, h.skep("observe", "--since", begin.Format(time.RFC3339Nano), "-o", "json"))
	wantNoneLost(t, afterKills(records))
	// What was drained is told ring by ring.
	execs := slices.DeleteFunc(records, func(r told) bool { return r.Kind != "exec" })
	wantMarks(t, marks(t, execs), 0, 2000)
}

// TestBegunAnew: a kernel side that was taken away and made anew numbers from far behind,
// and nothing of that is lost, neither at the next start nor at the one after it.
func TestBegunAnew(t *testing.T) {
	h := newHouse(t, "store: {enabled: true}")
	a := h.start("--ephemeral")
	begin := time.Now()
	mark(t, 0, 20)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	a.stop()
	for i := range 3 {
		a = h.start()
		mark(t, 20*i+20, 20*i+40)
		a.stop()
	}
	h.start()
	records := tellings(t, h.skep("observe", "--since", begin.Format(time.RFC3339Nano), "-o", "json"))
	wantNoneLost(t, records)
	wantMarks(t, marks(t, records), 0, 80)
}

// afterKills leaves out what a kill -9 may lose: the last second of whatever runs on this host.
func afterKills(records []told) []told {
	return slices.DeleteFunc(records, func(r told) bool { return strings.Contains(r.Loss.Detail, "an agent before this one ended") })
}

func wantNoneLost(t *testing.T, records []told) {
	t.Helper()
	for _, r := range records {
		if r.Loss.Place != "" {
			t.Errorf("lost: %+v", r.Loss)
		}
	}
}
