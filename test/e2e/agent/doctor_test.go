// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// examined is what skepd doctor reports.
func examined(t *testing.T, c *exec.Cmd) *skepv1.GetDoctorResponse {
	t.Helper()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("skepd doctor: %v", err)
	}
	var got skepv1.GetDoctorResponse
	if err := proto.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return &got
}

// wantCheck wants a check with a result, whose detail and advice hold a text.
func wantCheck(t *testing.T, got *skepv1.GetDoctorResponse, name, result, text string) {
	t.Helper()
	for _, c := range got.Checks {
		if c.Name == name && c.Result == result && strings.Contains(c.Detail+"; "+c.Advice, text) {
			return
		}
	}
	t.Errorf("no check %q is %s with %q in\n%v", name, result, text, got.Checks)
}

// TestDoctorAsTheAgent: where skepd would not start, doctor says so, and why; the rest of
// its report is there.
func TestDoctorAsTheAgent(t *testing.T) {
	for _, c := range []struct {
		name        string
		make        func(*house) *exec.Cmd
		check, text string
	}{
		{"no BTF", func(h *house) *exec.Cmd { return as(h.command("doctor"), "hide /sys/kernel/btf") }, "btf", "CONFIG_DEBUG_INFO_BTF"},
		{"no cgroups", func(h *house) *exec.Cmd { return as(h.command("doctor"), "no-cgroups") }, "container identity", "mount cgroup2"},
		{"user namespace", inUserNamespace("doctor"), "rights", "user namespace"},
		{"read-only data directory", func(h *house) *exec.Cmd {
			h.tiny(64<<10, unix.MS_RDONLY)
			return h.command("doctor")
		}, "data directory", "read-only file system"},
		{"full data directory", func(h *house) *exec.Cmd {
			fill(h.t, h.tiny(64<<10, 0))
			return h.command("doctor")
		}, "data directory", "no space left on device"},
		{"data directory below a file", func(h *house) *exec.Cmd {
			h.write("data", "precious")
			return h.command("doctor")
		}, "data directory", "not a directory"},
		{"node_id damaged", func(h *house) *exec.Cmd {
			h.write("data/node_id", "not a uuid")
			return h.command("doctor")
		}, "data directory", "does not hold a UUID"},
		{"socket is a file", func(h *house) *exec.Cmd {
			h.write("skep.sock", "precious")
			return h.command("doctor")
		}, "socket", "a file"},
		{"socket below a file", func(h *house) *exec.Cmd {
			h.write("run", "precious")
			h.socket = filepath.Join(h.dir, "run", "skep.sock")
			return h.command("doctor")
		}, "socket", "not a directory"},
		{"misspelt key", func(h *house) *exec.Cmd {
			h.yaml = "log:\n  levle: debug\nsokcet: /run/x\n"
			return h.command("doctor")
		}, "configuration", `skep.yaml:3:1: unknown key "sokcet"; did you mean "socket"`},
		{"no such file", func(h *house) *exec.Cmd {
			c := h.command("doctor")
			os.Remove(filepath.Join(h.dir, "skep.yaml"))
			return c
		}, "configuration", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newPrivateHouse(t)
			got := examined(t, c.make(h))
			if got.Ok {
				t.Error("it says that the agent can run here")
			}
			wantCheck(t, got, c.check, "fail", c.text)
			if c.check != "lsm" {
				wantOthers(t, got, c.check)
			}
			if left, _ := filepath.Glob(filepath.Join(h.dir, "*", ".skep-doctor*")); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
		})
	}
}

// wantOthers wants that a check that fails is the only one, and that the others are there.
func wantOthers(t *testing.T, got *skepv1.GetDoctorResponse, failed string) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range got.Checks {
		seen[c.Name] = true
		if c.Result == "fail" && c.Name != failed {
			t.Errorf("%s fails too: %s", c.Name, c.Detail)
		}
	}
	for _, name := range []string{"rights", "btf", "kernel configuration", "configuration", "container identity", "data directory", "socket"} {
		if !seen[name] {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if blind := failed == "btf" || failed == "rights" || failed == "container identity"; len(got.Signals) == 0 != blind {
		t.Errorf("%d signals were probed", len(got.Signals))
	}
}

// TestDoctorWarns: what an agent gets along without is said with its price.
func TestDoctorWarns(t *testing.T) {
	h := newPrivateHouse(t)
	verb := fmt.Sprint("drop ", unix.CAP_SYS_NICE, " ", unix.CAP_SYS_PTRACE, " ", unix.CAP_DAC_READ_SEARCH)
	got := examined(t, as(h.command("doctor"), verb))
	if !got.Ok {
		t.Errorf("it says that the agent cannot run here: %v", got.Checks)
	}
	for _, name := range []string{"CAP_SYS_NICE (without it", "CAP_SYS_PTRACE (without it", "CAP_DAC_READ_SEARCH (without it"} {
		wantCheck(t, got, "rights", "warn", name)
	}

	h.yaml = "store: {max_bytes: 1000TiB}\nsensors: {files: {paths: [/etc, /etc/skep-none]}}\n"
	got = examined(t, h.command("doctor"))
	wantCheck(t, got, "watched paths", "warn", "not there: /etc/skep-none")
	wantCheck(t, got, "disk log", "warn", "may grow to 1000TiB")
	wantCheck(t, got, "data directory", "ok", h.dir)
	if entries, err := os.ReadDir(h.dir); err != nil || len(entries) != 1 {
		t.Errorf("it left more than the configuration: %v, %v", entries, err)
	}
}

// TestDoctorOfARunningAgent: a file that has been broken since does not end the agent, but
// keeps another from starting.
func TestDoctorOfARunningAgent(t *testing.T) {
	h := newPrivateHouse(t)
	a := h.start()
	ask := func() *skepv1.GetDoctorResponse {
		got, err := a.GetDoctor(t.Context(), &skepv1.GetDoctorRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if !got.Ok {
			t.Errorf("the agent runs, and says that it cannot: %v", got.Checks)
		}
		return got
	}
	got := ask()
	wantCheck(t, got, "configuration", "ok", filepath.Join(h.dir, "skep.yaml"))
	wantCheck(t, got, "data directory", "ok", h.dir)
	h.yaml = "sokcet: /run/x\n"
	h.args("run")
	got = ask()
	wantCheck(t, got, "configuration", "warn", `unknown key "sokcet"`)

	other := examined(t, h.command("doctor")) // of the defaults, but at this socket
	wantCheck(t, other, "socket", "warn", fmt.Sprintf("process %d (skepd)", a.command.Process.Pid))
	a.stop()
}
