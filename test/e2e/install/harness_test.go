// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// sh runs a shell's command, which must succeed, and returns its output.
func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// fails runs one that must not succeed.
func fails(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err == nil {
		t.Fatalf("%s: succeeded\n%s", command, out)
	}
	return string(out)
}

func skep(t *testing.T) string { return skepdtest.Build(t, "skep") }

// object is a line of bpftool's.
type object struct {
	ID     int    `json:"id"`
	Name   string `json:"name"`
	ProgID int    `json:"prog_id"` // of a link
	MapIDs []int  `json:"map_ids"` // of a program
}

func bpftool(t *testing.T, kind string) map[int]object {
	t.Helper()
	var list []object
	if err := json.Unmarshal([]byte(sh(t, "bpftool -j "+kind+" show")), &list); err != nil {
		t.Fatalf("bpftool %s: %v", kind, err)
	}
	byID := map[int]object{}
	for _, o := range list {
		byID[o.ID] = o
	}
	return byID
}

// left is what bpftool finds in the kernel that no process holds, directly or by a link or
// program, so that other tests' agents do not count; and what tc finds.
func left(t *testing.T) map[string]bool {
	t.Helper()
	links, progs, maps := bpftool(t, "link"), bpftool(t, "prog"), bpftool(t, "map")
	dropProg := func(id int) {
		for _, m := range progs[id].MapIDs {
			delete(maps, m)
		}
		delete(progs, id)
	}
	for _, h := range held() {
		switch h.kind {
		case "link":
			dropProg(links[h.id].ProgID)
			delete(links, h.id)
		case "prog":
			dropProg(h.id)
		case "map":
			delete(maps, h.id)
		}
	}
	found := map[string]bool{}
	for kind, objects := range map[string]map[int]object{"link": links, "prog": progs, "map": maps} {
		for id, o := range objects {
			found[fmt.Sprint(kind, " ", id, " ", o.Name)] = true
		}
	}
	for line := range strings.Lines(sh(t, "tc qdisc show")) {
		found["qdisc "+strings.TrimSpace(line)] = true
	}
	return found
}

type reference struct {
	kind string
	id   int
}

// held lists what processes hold, by /proc: bpftool's own way does not work on all kernels.
func held() (all []reference) {
	files, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			kind, ok := strings.CutSuffix(key, "_id")
			if id, err := strconv.Atoi(strings.TrimSpace(value)); ok && err == nil {
				all = append(all, reference{kind, id})
			}
		}
	}
	return all
}

// wantSame waits until nothing is left that was not there before.
func wantSame(t *testing.T, before map[string]bool) {
	t.Helper()
	var extra []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		extra = nil
		for name := range left(t) {
			if !before[name] {
				extra = append(extra, name)
			}
		}
		if len(extra) == 0 {
			return
		}
	}
	t.Errorf("left in the kernel: %v", extra)
}

// start runs the installed agent as its unit does, by the arguments given, and returns
// once it answers.
func start(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of %v:\n%s", argv, text)
		}
	})
	for end := time.Now().Add(skepdtest.Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if exec.Command(skep(t), "--socket", "/run/skep/skep.sock", "whoami").Run() == nil {
			return c
		}
	}
	t.Fatal("the agent does not answer")
	return nil
}
