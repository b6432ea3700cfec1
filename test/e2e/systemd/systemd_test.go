// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// patience is for an emulator on a machine that is busy.
const patience = 5 * time.Minute

// installed is the program as skep install lays it.
const installed = "/usr/local/bin/skep"

const config = "/etc/skep/skep.yaml"

// configured is what the guest was booted with: see testdata/skep.yaml.
var configured []byte

// needGuest: the units of testdata are in no other place.
func needGuest(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/etc/systemd/system/skep-vm.service"); err != nil || os.Getuid() != 0 {
		t.Skip("needs a guest in which systemd is process 1: the kernel matrix boots it")
	}
}

func try(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%q: %w: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := try(argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// property is one of a unit's, as systemctl shows it.
func property(t *testing.T, unit, name string) string {
	t.Helper()
	return run(t, "systemctl", "show", "--value", "-p", name, unit)
}

// since is the time of a property, in microseconds since boot.
func since(t *testing.T, unit, name string) uint64 {
	t.Helper()
	text := property(t, unit, name+"TimestampMonotonic")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("%s of %s is %q: %v", name, unit, text, err)
	}
	return n
}

func mainPID(t *testing.T) string { t.Helper(); return property(t, "skepd.service", "MainPID") }

// eventually waits for a condition; the last error is why it does not hold.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %s: %v", patience, what, err)
}

// wantSeen waits until the agent shows a record of a kind that has a text.
func wantSeen(t *testing.T, kind, text string) {
	t.Helper()
	eventually(t, text, func() error {
		out, err := try(installed, "observe", "--since", "1h", "--kind", kind, "-o", "json")
		if err == nil && !strings.Contains(out, text) {
			err = errors.New("not among the records of kind " + kind)
		}
		return err
	})
}

// wantActive: the service runs, and it is the one that answers.
func wantActive(t *testing.T) {
	t.Helper()
	eventually(t, "the service runs", func() error {
		if _, err := try("systemctl", "is-active", "skepd.service"); err != nil {
			return err
		}
		_, err := try(installed, "whoami")
		return err
	})
}

// programs are the ids of the agent's programs.
func programs(t *testing.T) (ids []ebpf.ProgramID) {
	t.Helper()
	var status struct{ Programs []struct{ ID uint32 } }
	if err := json.Unmarshal([]byte(run(t, installed, "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	for _, p := range status.Programs {
		ids = append(ids, ebpf.ProgramID(p.ID))
	}
	if len(ids) == 0 {
		t.Fatal("the agent has no programs")
	}
	return ids
}

// TestService goes through the life of the service, from a boot on.
func TestService(t *testing.T) {
	needGuest(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := try("systemctl", "status", "--no-pager", "skepd.service")
			list, _ := try("systemctl", "list-jobs", "--no-pager")
			t.Logf("%s\n%s", out, list)
		}
	})
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{{"boot", boot}, {"sandbox", sandbox}, {"reload", reload}, {"killed", killed}, {"stop and start", stopAndStart}, {"uninstall", uninstall}, {"install", install}} {
		if !t.Run(step.name, step.test) {
			return // the rest rests on it
		}
	}
}

// boot: systemd has found no fault in the units and started the agent before what it is to see
// from its first instruction: the network, and what runs containers. Both were seen.
func boot(t *testing.T) {
	wantActive(t)
	if out := run(t, "systemd-analyze", "verify", "--man=no", "skepd.service"); out != "" {
		t.Errorf("systemd-analyze says %s", out)
	}
	attached := since(t, "skepd.service", "ActiveEnter")
	for unit, when := range map[string]string{
		"network-pre.target": "ActiveEnter", "wait-online.service": "ExecMainStart", "network-online.target": "ActiveEnter", "containerd.service": "ExecMainStart",
	} {
		if at := since(t, unit, when); at < attached {
			t.Errorf("%s at %d us, the agent had attached at %d us", unit, at, attached)
		}
	}
	wantSeen(t, "exec", "network-comes-up")
	wantSeen(t, "exec", "first-container")
}

// sandbox: what the unit takes from the agent is taken, and the agent finds no fault with what is left.
func sandbox(t *testing.T) {
	status := run(t, "cat", "/proc/"+mainPID(t)+"/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			t.Errorf("not %q:\n%s", want, status)
		}
	}
	if out, err := try("nsenter", "-t", mainPID(t), "-m", "touch", "/etc/x"); err == nil {
		t.Errorf("its /etc can be written: %s", out)
	}
	run(t, installed, "doctor")
}

// reload: the configuration is read again by the same process.
func reload(t *testing.T) {
	before := mainPID(t)
	var err error
	if configured, err = os.ReadFile(config); err == nil {
		err = os.WriteFile(config, append(bytes.Clone(configured), "redact: {args: ['since-the-(reload)']}\n"...), 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "systemctl", "reload", "skepd.service")
	wantSeen(t, "agent", `"event":"reload"`)
	run(t, "/bin/busybox", "echo", "since-the-reload")
	wantSeen(t, "exec", "since-the-[redacted]")
	if now := mainPID(t); now != before {
		t.Errorf("the process was %s, is %s", before, now)
	}
}

// killed: systemd starts another one, which takes over.
func killed(t *testing.T) {
	before, ids := mainPID(t), programs(t)
	run(t, "kill", "-9", before)
	eventually(t, "another process", func() error {
		if now := mainPID(t); now == before || now == "0" {
			return errors.New(now)
		}
		return nil
	})
	wantActive(t)
	wantSeen(t, "agent", `"event":"adopt"`)
	if now := programs(t); now[0] != ids[0] {
		t.Errorf("the first program was %d, is %d", ids[0], now[0])
	}
}

// stopAndStart: what is stopped is stopped, what happened meanwhile is told after the start, and what
// was seen since the boot is still known.
func stopAndStart(t *testing.T) {
	run(t, "systemctl", "stop", "skepd.service")
	if out, err := try("systemctl", "is-active", "skepd.service"); err == nil || out != "inactive" {
		t.Errorf("it is %s", out)
	}
	run(t, "/bin/busybox", "echo", "without-an-agent")
	run(t, "systemctl", "start", "skepd.service")
	wantActive(t)
	wantSeen(t, "exec", "without-an-agent")
	wantSeen(t, "exec", "first-container")
}

// uninstall: nothing is left, in the kernel or in the file system.
func uninstall(t *testing.T) {
	ids := programs(t)
	run(t, installed, "uninstall", "--purge")
	eventually(t, "its programs are gone", func() error { // the kernel frees them when no CPU can be in them
		for _, id := range ids {
			if p, err := ebpf.NewProgramFromID(id); err == nil {
				p.Close()
				return fmt.Errorf("program %d is there: %v", id, p)
			}
		}
		return nil
	})
	for _, path := range []string{"/sys/fs/bpf/skep", "/etc/skep", "/var/lib/skep", "/run/skep", installed, "/usr/local/bin/skepd",
		"/etc/systemd/system/skepd.service", "/etc/systemd/system/multi-user.target.wants/skepd.service"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	for file, names := range map[string][]string{"/etc/passwd": {"skep-web"}, "/etc/group": {"skep", "skep-operators", "skep-web"}} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.Contains("\n"+string(text), "\n"+name+":") {
				t.Errorf("%s is left in %s", name, file)
			}
		}
	}
	if out, err := try("systemctl", "cat", "skepd.service"); err == nil {
		t.Errorf("systemd knows the unit: %s", out)
	}
}

// install: on a host that runs the service is started and enabled, and can go again.
func install(t *testing.T) {
	if err := errors.Join(os.Mkdir("/etc/skep", 0o755), os.WriteFile(config, configured, 0o640)); err != nil {
		t.Fatal(err)
	}
	run(t, skepdtest.Build(t, "skep"), "install")
	wantActive(t)
	if out := run(t, "systemctl", "is-enabled", "skepd.service"); out != "enabled" {
		t.Errorf("it is %s", out)
	}
	uninstall(t)
}
