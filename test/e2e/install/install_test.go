// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestInstallAndRemove goes through the life of an installation on a host without systemd.
func TestInstallAndRemove(t *testing.T) {
	needRoot(t)
	before := left(t)
	out := sh(t, skep(t)+" install")
	if !strings.Contains(out, "systemd does not run here") {
		t.Errorf("it does not say that there is no systemd: %s", out)
	}
	for _, name := range []string{"skep", "skepd"} {
		want, _ := os.ReadFile(filepath.Join(filepath.Dir(skep(t)), name))
		got, err := os.ReadFile("/usr/local/bin/" + name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: not what was built (%v)", name, err)
		}
	}
	if text, err := os.ReadFile(config.DefaultPath); err != nil || string(text) != config.DefaultYAML {
		t.Errorf("the configuration is not the default: %v", err)
	}
	accounts := sh(t, "getent group skep skep-operators; getent passwd skep-web")
	if n := strings.Count(accounts, "\n"); n != 3 || !strings.Contains(accounts, "nologin") {
		t.Errorf("accounts: %s", accounts)
	}
	if out := sh(t, "systemd-analyze verify /etc/systemd/system/skepd.service /etc/systemd/system/skep-web.service 2>&1 | grep -e skep || true"); out != "" {
		t.Errorf("systemd does not like the units: %s", out)
	}

	agent := start(t, "/usr/local/bin/skepd", "run")
	wantSeen(t)
	sh(t, "echo 'cluster: kept' > "+config.DefaultPath)
	sh(t, "/usr/local/bin/skep install") // over the programs that run
	if out := sh(t, "cat "+config.DefaultPath); out != "cluster: kept\n" {
		t.Errorf("an upgrade has changed the configuration: %s", out)
	}
	if out := fails(t, "/usr/local/bin/skep uninstall"); !strings.Contains(out, "stop it first") {
		t.Errorf("with the agent running: %s", out)
	}
	if err := agent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // killed
	if _, err := os.Stat("/sys/fs/bpf/skep"); err != nil {
		t.Fatalf("nothing outlives the agent, so nothing is proved: %v", err)
	}

	sh(t, "cp "+config.DefaultPath+" /etc/skep/good && echo 'sokcet: x' > "+config.DefaultPath)
	sh(t, "/usr/local/bin/skep uninstall && mv /etc/skep/good "+config.DefaultPath) // a fault must not keep it here
	if _, err := os.Stat("/sys/fs/bpf/skep"); err == nil {
		t.Error("pins are left")
	}
	wantSame(t, before)
	if out := sh(t, "find /etc /usr /var /run /opt -xdev -name 'skep*' | sort"); !strings.Contains(out, "/etc/skep\n") ||
		!strings.Contains(out, "/var/lib/skep\n") || strings.Contains(out, "/bin/skep") || strings.Contains(out, ".service") {
		t.Errorf("after uninstall there are\n%s", out)
	}
	if out := fails(t, skep(t)+" uninstall"); !strings.Contains(out, "not installed") {
		t.Errorf("a second time: %s", out)
	}
	sh(t, skep(t)+" install && /usr/local/bin/skep uninstall --purge")
	for _, path := range []string{"/etc/skep", "/var/lib/skep", "/usr/local/bin/skep", "/etc/systemd/system/skepd.service"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left after --purge", path)
		}
	}
	if out := fails(t, "getent group skep skep-operators skep-web; getent passwd skep-web"); out != "" {
		t.Errorf("accounts are left: %s", out)
	}
}

// wantSeen waits until the agent shows an exec, which it reads from its ring some time later.
func wantSeen(t *testing.T) {
	t.Helper()
	sh(t, "/bin/true")
	wantRecord(t, "--kind exec --comm true", "true")
}

// wantRecord waits until the last record that the arguments find says what is wanted.
func wantRecord(t *testing.T, args, want string) {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if strings.Contains(sh(t, "/usr/local/bin/skep observe "+args+" --last 1"), want) {
			return
		}
	}
	t.Fatalf("the agent does not show %q of %q", want, args)
}

// fakeSystemd is a systemctl that notes its arguments and fails for some of them.
func fakeSystemd(t *testing.T, failing ...string) (calls func() string) {
	t.Helper()
	sh(t, "mkdir -p /run/systemd/system")
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$*\" >> " + dir + "/calls\ncase \"$*\" in\n"
	for _, args := range failing {
		script += "'" + args + "') exit 1;;\n"
	}
	if err := os.WriteFile(dir+"/systemctl", []byte(script+"esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Cleanup(func() { os.RemoveAll("/run/systemd") })
	return func() string {
		text, _ := os.ReadFile(dir + "/calls")
		return strings.ReplaceAll(string(text), "\n", "; ")
	}
}

func TestSystemd(t *testing.T) {
	needRoot(t)
	calls := fakeSystemd(t)
	sh(t, skep(t)+" install --web")
	if got, want := calls(), "daemon-reload; is-enabled --quiet skepd.service; enable skepd.service; restart skepd.service; is-enabled --quiet skep-web.service; enable skep-web.service; restart skep-web.service; "; got != want {
		t.Errorf("install: got %s, want %s", got, want)
	}
	sh(t, "/usr/local/bin/skep uninstall --purge")
	if got, want := calls(), "cat skep-web.service; disable --now skep-web.service; cat skepd.service; disable --now skepd.service; daemon-reload; "; !strings.HasSuffix(got, want) {
		t.Errorf("uninstall: got %s, want %s", got, want)
	}
}

// TestFailureIsUndone: what a failed installation has made is gone.
func TestFailureIsUndone(t *testing.T) {
	needRoot(t)
	calls := fakeSystemd(t, "restart skepd.service", "is-enabled --quiet skepd.service")
	fails(t, skep(t)+" install")
	if got := calls(); !strings.HasSuffix(got, "restart skepd.service; disable skepd.service; ") {
		t.Errorf("calls: %s", got)
	}
	for _, path := range []string{config.DefaultPath, "/usr/local/bin/skep", "/usr/local/bin/skepd", "/etc/systemd/system/skepd.service"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	fails(t, "getent group skep skep-operators skep-web")
}

func TestUnprivileged(t *testing.T) {
	needRoot(t)
	// A user without an account, as setpriv allows.
	if out := fails(t, "setpriv --reuid 65533 --regid 65533 --clear-groups "+skep(t)+" install"); !strings.Contains(out, "needs root") {
		t.Errorf("another user: %s", out)
	}
	out := sh(t, skep(t)+" install --dry-run --prefix /opt/skep")
	if !strings.Contains(out, "write /opt/skep/bin/skepd\n") {
		t.Errorf("dry run: %s", out)
	}
	if _, err := os.Stat("/opt/skep"); err == nil {
		t.Error("a dry run has written")
	}
}

// TestSandbox runs the agent with no more than its unit leaves it: the capabilities, no new
// privileges, the umask, and a root that is read-only but for its directories. What only
// systemd's seccomp filters can do is not tried here.
func TestSandbox(t *testing.T) {
	needRoot(t)
	sh(t, skep(t)+" install")
	unit, err := os.ReadFile("/etc/systemd/system/skepd.service")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
	list, _, _ := strings.Cut(rest, "\n")
	if !ok || !strings.Contains(string(unit), "NoNewPrivileges=yes") {
		t.Fatal("the unit does not say what it leaves")
	}
	bounding := "-all"
	for _, name := range strings.Fields(list) {
		if name != "CAP_SYS_RESOURCE" || has(t, "sys_resource") {
			bounding += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
		}
	}
	watched, hide := t.TempDir(), "true" // below /tmp
	if strings.Contains(string(unit), "\nPrivateTmp=yes") {
		hide = "mount -t tmpfs t /tmp"
	}
	sh(t, "mkdir -p /var/lib/skep /run/skep && echo 'sensors: {files: {paths: ["+watched+"]}}' > "+config.DefaultPath)
	agent := start(t, "unshare", "--mount", "sh", "-c", `umask 077
		mount --bind /var/lib/skep /var/lib/skep && mount -o remount,ro,bind / && $2 && ! touch /etc/x 2>/dev/null &&
		exec setpriv --bounding-set "$1" --inh-caps -all --no-new-privs /usr/local/bin/skepd run --ephemeral`, "sh", bounding, hide)
	wantSeen(t)
	sh(t, "/usr/local/bin/skep doctor")
	sh(t, "touch "+watched+"/x")
	wantRecord(t, "--kind file --path "+watched, "create "+watched+"/x")
	// Of the thread that empties the rings; field 19 of proc_pid_stat(5), counted behind the name.
	if out := sh(t, fmt.Sprintf("sed 's/.*) //' /proc/%d/task/*/stat | cut -d' ' -f17 | sort -n | head -1", agent.Process.Pid)); out != "-10\n" {
		t.Errorf("the highest priority of a thread is %s", out)
	}
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil { // sh and setpriv have become skepd
		t.Fatal(err)
	}
	if err := agent.Wait(); err != nil {
		t.Errorf("it did not stop cleanly: %v", err)
	}
	if _, err := os.Stat("/sys/fs/bpf/skep"); err == nil {
		t.Error("pins are left")
	}
	sh(t, "/usr/local/bin/skep uninstall --purge")
}

func has(t *testing.T, capability string) bool {
	t.Helper()
	return strings.Contains(sh(t, "setpriv --dump | grep '^Capability bounding set'"), capability)
}
