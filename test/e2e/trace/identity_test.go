// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// inContainer runs getsid system calls by perl's own hand in a cgroup that is named as Docker
// names those of its containers, and in one below it: two cgroups of one container.
func inContainer(t *testing.T, id string, run func(cgroup string)) {
	t.Helper()
	h, err := cgroup.ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	outer := filepath.Join(h.Mount, "docker", id)
	for _, dir := range []string{outer, filepath.Join(outer, "inner")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
	}
	t.Cleanup(func() { os.Remove(filepath.Join(h.Mount, "docker")) })
	run(filepath.Join(outer, "inner"))
	run(outer)
}

// opener starts a shell that enters a cgroup, and then opens /dev/null so many times itself.
func opener(t *testing.T, cgroup string, n int) {
	t.Helper()
	script := fmt.Sprintf(`echo $$ > %s/cgroup.procs && i=0 && while [ $i -lt %d ]; do : < /dev/null; i=$((i+1)); done`, cgroup, n)
	if out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestIdentity: what the builtins of the agent's identity say is what it says elsewhere.
func TestIdentity(t *testing.T) {
	a := skepdtest.Start(t)
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, t.Context(), a, script(fmt.Sprintf(`tracepoint:syscalls:sys_enter_openat /comm == "skep-opener" && pid == %d/ {
		@exe[exe] = count(); @id[exec_id, pid] = count(); @up[ancestors] = count(); @in["<", container, pod, ">"] = count();
		$id = exec_id; @same = $id == exec_id; printf("%%s\n", exe); }`, os.Getpid())))
	if r.ready == nil {
		t.Fatal(r.stream.Err(), r.wrong)
	}
	opens(t, 50, "skep-opener")
	if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: r.ready.GetId()}); err != nil || r.finish() != nil {
		t.Fatal(err, r.stream.Err())
	}
	known, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	var up []string
	for _, p := range known.GetAncestors() {
		up = append(up, p.GetProcess().GetExe())
		if p.GetProcess().GetExe() == "" {
			up[len(up)-1] = p.GetProcess().GetComm()
		}
	}
	for name, want := range map[string]string{
		"@exe":  "@exe[" + me + "]: 50\n",
		"@id":   fmt.Sprintf("@id[%s, %d]: 50\n", known.GetProcess().GetProcess().GetExecId(), os.Getpid()),
		"@up":   "@up[" + strings.Join(up, " < ") + "]: 50\n",
		"@same": "@same: 1\n",
	} {
		if r.maps[name] != want {
			t.Errorf("%s is %q, want %q", name, r.maps[name], want)
		}
	}
	if c := known.GetProcess().GetProcess().GetContainer(); c == nil && r.maps["@in"] != "@in[<, , , >]: 50\n" {
		t.Errorf("not in a container: %q", r.maps["@in"])
	}
	if strings.Count(r.text.String(), me+"\n") != 50 {
		t.Errorf("said %q", r.text.String())
	}
}

// TestContainers: a container is one key, whatever cgroups it has, and can be asked for by name.
func TestContainers(t *testing.T) {
	a := skepdtest.Start(t)
	id := strings.Repeat("5e", 30) + fmt.Sprintf("%04x", os.Getpid()&0xffff)
	inContainer(t, id, func(string) {})
	inContainer(t, id, func(cgroup string) {
		opener(t, cgroup, 1) // the agent knows it by now
	})
	r := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/dev/null" && container != "`+strings.Repeat("0", 12)+`"/ { @[container] = count(); }`))
	if r.ready != nil || len(r.wrong) == 0 || !strings.Contains(r.wrong[0].GetText(), "no container of the name") {
		t.Fatalf("a container that is not there: %v, %v", r.ready, r.wrong)
	}
	inContainer(t, id, func(string) {})
	all := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/dev/null"/ { @[container] = count(); }`))
	only := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/dev/null" && container == "`+id[:12]+`"/ { @ = count(); }`))
	others := start(t, t.Context(), a, script(`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/dev/null" && comm == "sh" && container != "`+id[:12]+`"/ { @[pid] = count(); }`))
	flag := script(`tracepoint:syscalls:sys_enter_openat /str(args.filename) == "/dev/null"/ { @ = count(); }`)
	flag.Container = id
	filtered := start(t, t.Context(), a, flag)
	for _, one := range []*running{all, only, others, filtered} {
		if one.ready == nil {
			t.Fatal(one.stream.Err(), one.wrong)
		}
	}
	inContainer(t, id, func(cgroup string) { opener(t, cgroup, 20) })
	outside, err := cgroup.ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	opener(t, outside.Mount, 33)
	for _, one := range []*running{all, only, others, filtered} {
		if _, err := a.EndTrace(t.Context(), &skepv1.EndTraceRequest{Id: one.ready.GetId()}); err != nil || one.finish() != nil {
			t.Fatal(err, one.stream.Err())
		}
	}
	if want := "@[" + id[:12] + "]: 40\n"; !strings.Contains(all.maps["@"], want) {
		t.Errorf("all: %q, want %q", all.maps["@"], want)
	}
	for what, one := range map[string]*running{"==": only, "--container": filtered} {
		if one.maps["@"] != "@: 40\n" {
			t.Errorf("%s: %q", what, one.maps["@"])
		}
	}
	if strings.Contains(others.maps["@"], "]: 20\n") || !strings.Contains(others.maps["@"], "]: 33\n") {
		t.Errorf("!=: %q", others.maps["@"])
	}
}

// TestPrivateIdentity: a private agent for a script that needs none has no sensors; one that asks
// who it was gets an agent that knows.
func TestPrivateIdentity(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	run := func(text string) string { return privately(t, "-c", "/bin/cat /etc/hostname", "-e", text) }
	if out := run(`tracepoint:syscalls:sys_enter_exit_group /pid == cpid/ { printf("%s of %d\n", exe, pid); }`); !strings.Contains(out, "/cat of ") {
		t.Errorf("said %q", out)
	}
	if out := run(`tracepoint:syscalls:sys_enter_openat /pid == cpid/ { @[comm] = count(); }`); !strings.Contains(out, "@[cat]: ") {
		t.Errorf("said %q", out)
	}
}

// privately runs skep trace with an agent of its own: not that of this host, if it has one.
func privately(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"-c", `mount -t tmpfs none /run && exec "$0" trace -q "$@"`, skepdtest.Build(t, "skep")}, args...)
	c := exec.Command("/bin/sh", args...)
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(errors.Join(err, errors.New(stderr.String())))
	}
	return string(out)
}

// TestCommandsBeforeExit: what a script has run before it says exit() is done while its probes
// are there, which see it, and speaks in its turn.
func TestCommandsBeforeExit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	commands := fmt.Sprintf(`printf("a\n"); system("perl -e 'syscall(%d, 0) for 1..7; print qq(b\\n)'"); cat("/proc/sys/kernel/ostype"); printf("c\n"); exit();`, unix.SYS_GETSID)
	out := privately(t, "--unsafe", "-e", `tracepoint:syscalls:sys_enter_getsid /comm == "perl"/ { @n = count(); } begin { `+commands+` } end { printf("d\n"); }`)
	if want := "a\nb\nLinux\nc\nd\n\n\n@n: 7\n"; out != want {
		t.Errorf("said %q, want %q", out, want)
	}
}
