// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// scene is an agent that follows calls, and a directory with an empty directory m.
type scene struct {
	agent  *skepdtest.Agent
	stream *skepdtest.Stream
	dir    string
	file   string            // the configuration
	rungs  map[string]string // in use, by signal
}

// newScene forces a rung of all groups that have it, "" for the best ones.
func newScene(t *testing.T, rung, yaml string) *scene {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs and mounts")
	}
	file := skepdtest.WriteConfig(t, yaml)
	args := []string{"--config", file}
	var force []string
	for _, l := range host.Ladders() {
		for _, r := range l.Rungs {
			if r.Name == rung {
				force = append(force, l.Signal+"="+rung)
			}
		}
	}
	if rung != "" {
		args = append(args, "--force-rung", strings.Join(force, ","))
	}
	s := &scene{agent: skepdtest.Start(t, args...), dir: t.TempDir(), file: file, rungs: map[string]string{}}
	for _, signal := range s.agent.Status(t).Signals {
		s.rungs[signal.Signal] = signal.Rung
	}
	if err := os.Mkdir(filepath.Join(s.dir, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.stream = s.agent.Observe(t, &skepv1.Filter{Kinds: []string{"host", "exit", "loss", "agent"}})
	return s
}

func every() string {
	return "sensors: {host: {calls: [" + strings.Join(host.Groups(), ", ") + "]}}\n"
}

// of returns what was told of a process that has ended.
func (s *scene) of(t *testing.T, pid, atLeast int) []*skepv1.HostCall {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); len(s.stream.Of("host", pid)) < atLeast && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	s.stream.Wait(t, "exit", pid)
	s.stream.Sync(t) // for what should not come
	s.stream.Sync(t)
	var calls []*skepv1.HostCall
	for _, r := range s.stream.Of("host", pid) {
		calls = append(calls, r.GetHost())
	}
	return calls
}

// line is a record as the tables below have it.
func line(h *skepv1.HostCall) string {
	target := ""
	if h.Target != nil {
		target = "@" + strconv.Itoa(int(h.Target.Pid))
	}
	ids := ""
	if h.IdsAfter != "" {
		ids = h.IdsBefore + ">" + h.IdsAfter
	}
	inode := ""
	if h.NamespaceInode != 0 {
		inode = "#" + strconv.Itoa(int(h.NamespaceInode))
	}
	var parts []string
	for _, p := range []string{
		h.Call, h.Request, h.SignalName, h.ProgramType, h.Name, h.Source, h.Path, h.Fstype, h.Flags, strings.Join(h.Namespaces, "+"), inode, h.Requested, ids,
		target, h.Capability, h.ErrorName,
	} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " ")
}

// cases are calls of one process, and what is to be told of each: "" for nothing. # stands
// for the number that the call gave, ! for its error.
var cases = map[string][][2]string{
	"ptrace": {
		{"attach", "ptrace PTRACE_ATTACH @#;kill SIGKILL @#"},
		{"attach self", "ptrace PTRACE_ATTACH @# !"},
		{"attach none", "ptrace PTRACE_ATTACH !"},
	},
	"mount": {
		{"unshare", "unshare mnt+uts"},
		{"private", "mount / MS_REC|MS_PRIVATE"},
		{"mount", "mount " + hostile + " m tmpfs MS_NOSUID"},
		{"umount", "umount m MNT_DETACH"},
		{"mount none", "mount x none tmpfs !"},
		{"mount long", "mount " + strings.Repeat("x", 1023) + " none tmpfs !"},
		{"move_mount", "move_mount none m MOVE_MOUNT_T_SYMLINKS !"},
		{"pivot_root", "pivot_root old none !"},
	},
	"namespaces": {
		{"unshare fs", ""},
		{"setns", "setns uts ## !"},
		{"setns none", "setns net !"},
	},
	"code": {
		{"memfd", "memfd_create " + hostile + " MFD_CLOEXEC"},
		{"memfd long", "memfd_create " + strings.Repeat("x", 300) + " MFD_CLOEXEC !"},
		{"bpf", "bpf_load socket_filter skep_test"},
		{"bpf bad", "bpf_load socket_filter skep_test !"},
		{"init_module", "module_load !"},
		{"delete_module", "module_unload no-\x1bmodule !"},
	},
	"ids": {
		{"nobody groups", "setresgid 65534::65534 0:0:0:0>65534:0:65534:0"},
		{"setfsgid", "setfsgid 7 65534:0:65534:0>65534:0:65534:7"},
		{"setregid", "setregid :8 65534:0:65534:7>65534:8:8:8"},
		{"setgid", "setgid 9 65534:8:8:8>9:9:9:9"},
		{"setgroups", ""},
		{"setreuid", "setreuid :5 0:0:0:0>0:5:5:5"},
		{"setuid", "setuid 0 0:5:5:5>0:0:5:0"},
		{"setfsuid", "setfsuid 7 0:0:5:0>0:0:5:7"},
	},
	"nobody": {
		{"nobody", "setresuid 65534:65534:65534 0:0:0:0>65534:65534:65534:65534"},
		{"setuid", "setuid 0 65534:65534:65534:65534>65534:65534:65534:65534 !"},
		{"mount none", "mount x none tmpfs !"},
		{"unshare", "unshare mnt+uts !"},
	},
	"signals": {
		{"kill", "kill SIGWINCH @#;kill SIGKILL @#"},
		{"kill nothing", ""},
		{"kill self", ""},
		{"kill parent", "kill SIGWINCH @#"},
	},
}

// rungs are tried one by one; those that do not work here are skipped.
var rungs = []string{"fexit", "fexit_probe", "kretprobe", "tracepoint", "sys_exit"}

// TestRungs: on each rung the same is told of the same calls.
func TestRungs(t *testing.T) {
	for _, rung := range rungs {
		t.Run(rung, func(t *testing.T) {
			s := newScene(t, rung, every())
			if s.agent.Rung(t, "ptrace") != rung {
				t.Skipf("needs the rung %s, which does not work here", rung)
			}
			for name, steps := range cases {
				t.Run(name, func(t *testing.T) { s.run(t, steps) })
			}
			s.checkStatus(t)
		})
	}
}

func (s *scene) run(t *testing.T, steps [][2]string) {
	t.Helper()
	var calls, want []string
	for _, step := range steps {
		calls = append(calls, step[0])
	}
	pid, results := play(t, s.dir, calls...)
	for i, step := range steps {
		r := strings.NewReplacer("##", fmt.Sprint("#", results[i].Number), "#", fmt.Sprint(results[i].Number), " !", strings.TrimRight(" "+results[i].Error, " "))
		if step[1] != "" {
			for _, w := range strings.Split(r.Replace(step[1]), ";") {
				if parts := strings.Fields(w); strings.HasPrefix(w, "set") && strings.Contains(w, ">") && s.rungs["setuid"] == "fexit_probe" && results[i].Error == "" {
					w = strings.Join(slices.Delete(parts, 1, 2), " ") // what was asked for is not known
				}
				if s.sees(w) {
					want = append(want, w)
				}
			}
		}
		if !strings.Contains(step[1], "!") && results[i].Error != "" {
			t.Fatalf("%s: %s", step[0], results[i].Error)
		}
	}
	var got []string
	for _, h := range s.of(t, pid, len(want)) {
		if h.Call != "capability" { // comes once, and not on each kernel
			got = append(got, line(h))
		}
		if h.TextCut != strings.Contains(h.Source, strings.Repeat("x", 1023)) {
			t.Errorf("%v is cut: %t", h, h.TextCut)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// sees tells whether the group of a call has a rung: not all of them have each one.
func (s *scene) sees(call string) bool {
	call, _, _ = strings.Cut(call, " ")
	group := map[string]string{
		"umount": "mount", "move_mount": "mount", "pivot_root": "mount", "memfd_create": "memfd", "bpf_load": "bpf", "module_load": "module",
		"module_unload": "module", "setresuid": "setuid", "setreuid": "setuid", "setresgid": "setuid",
		"setfsuid": "setuid", "setgid": "setuid", "setregid": "setuid", "setfsgid": "setuid",
	}[call]
	if group == "" {
		group = call
	}
	if group == "module" && strings.HasPrefix(s.rungs[group], "tp_btf") {
		return false // no module comes or goes here, and those rungs do not see attempts
	}
	return s.rungs[group] != ""
}

// checkStatus: nothing was lost, and every number came.
func (s *scene) checkStatus(t *testing.T) {
	t.Helper()
	for _, l := range s.agent.Status(t).Losses {
		if l.Kind == "host" && l.Count > 0 || l.Place == "malformed" {
			t.Errorf("lost: %v", l)
		}
	}
	next := uint64(0)
	for _, r := range s.stream.All(func(r *skepv1.Record) bool { return r.Kind == "host" }) {
		if next != 0 && r.Seq != next {
			t.Errorf("record %d follows %d", r.Seq, next-1)
		}
		next = r.Seq + 1
	}
}
