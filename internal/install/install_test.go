// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/config"
)

// programs is a directory with something to install.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range Programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func describe(p Plan) string {
	var text strings.Builder
	p.Describe(&text)
	return text.String()
}

// TestRoot: below another root files are laid, and nothing else is touched.
func TestRoot(t *testing.T) {
	root := t.TempDir()
	o := Options{From: programs(t), Root: root, Prefix: "/usr", Systemd: true}
	p, err := Install(o)
	if err != nil {
		t.Fatal(err)
	}
	if text := describe(p); strings.Contains(text, "group") || strings.Contains(text, "systemctl") {
		t.Errorf("the plan is\n%s", text)
	}
	if err := p.Run(io.Discard); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		"usr/bin/skepd": 0o755, "usr/lib/systemd/system/skepd.service": 0o644, "etc/skep/skep.yaml": 0o600,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %v", path, info, err, mode)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/skepd.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/bin/skepd run\n") {
		t.Errorf("the unit does not start it where it will be: %v", err)
	}
	o.Config = config.Default()
	if err := Uninstall(o).Run(io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/skepd")); err == nil {
		t.Error("skepd is left")
	}
	if _, err := os.Stat(filepath.Join(root, "etc/skep/skep.yaml")); err != nil {
		t.Errorf("the configuration is gone: %v", err)
	}
}

// TestUnit: the agent is there before what it is to see, without what its unit's defaults
// would make it wait for, and systemd never gives it up.
func TestUnit(t *testing.T) {
	unit, err := units.ReadFile("skepd.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"DefaultDependencies=no", "Before=network-pre.target", "Wants=network-pre.target", "StartLimitIntervalSec=0",
		"Before=docker.service containerd.service crio.service podman.service kubelet.service", "Restart=on-failure",
	} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
	for _, hides := range []string{"PrivateTmp=", "ProtectHome=yes", "ProtectHome=tmpfs", "TemporaryFileSystem=", "InaccessiblePaths=", "RootDirectory="} {
		if strings.Contains(string(unit), "\n"+hides) {
			t.Errorf("the unit hides paths of the host by %s", hides)
		}
	}
}

// broken fails.
type broken struct{}

func (broken) String() string { return "fail" }
func (broken) do() error      { return errors.New("it failed") }
func (broken) undo() error    { return errors.New("a step that failed is not undone") }

func TestUndo(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Plan{
		&file{path: filepath.Join(dir, "new"), text: []byte("x"), mode: 0o600},
		&file{path: old, text: []byte("x"), mode: 0o600, keep: true},
		broken{},
		&file{path: filepath.Join(dir, "never"), text: []byte("x"), mode: 0o600},
	}
	if err := p.Run(io.Discard); err == nil || err.Error() != "it failed" {
		t.Errorf("got %v", err)
	}
	entries, _ := os.ReadDir(dir)
	if text, _ := os.ReadFile(old); len(entries) != 1 || string(text) != "precious" {
		t.Errorf("left: %v, old: %s", entries, text)
	}
}

// fakeSystemctl notes its arguments and fails for those that are given.
func fakeSystemctl(t *testing.T, failing ...string) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$*\" >> " + dir + "/calls\ncase \"$*\" in\n"
	for _, args := range failing {
		script += "'" + args + "') exit 1;;\n"
	}
	if err := os.WriteFile(dir+"/systemctl", []byte(script+"esac\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		text, _ := os.ReadFile(dir + "/calls")
		return strings.ReplaceAll(string(text), "\n", "; ")
	}
}

// TestFailedUpgrade: a unit that was enabled before stays so, one that was not is disabled.
func TestFailedUpgrade(t *testing.T) {
	const tried = "is-enabled --quiet a.service; enable a.service; "
	for _, tt := range []struct {
		name, want string
		failing    []string
	}{
		{"first", tried + "disable a.service; ", []string{"is-enabled --quiet a.service"}},
		{"again", tried, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := fakeSystemctl(t, tt.failing...)
			if err := (Plan{&enabled{unit: "a.service"}, broken{}}).Run(io.Discard); err == nil {
				t.Error("no error")
			}
			if got := calls(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestPackagedUpgrade enables nothing, and starts only what runs.
func TestPackagedUpgrade(t *testing.T) {
	p, err := Install(Options{Root: "/", Prefix: "/usr", Systemd: true, Upgrade: true})
	if err != nil {
		t.Fatal(err)
	}
	if text := describe(p); strings.Contains(text, "enable") || strings.Contains(text, "ctl restart") ||
		!strings.HasSuffix(text, "systemctl daemon-reload\nsystemctl try-restart skepd.service\nsystemctl try-restart skep-web.service\n") {
		t.Errorf("the plan is\n%s", text)
	}
}

// TestPurgeIsCareful: a data_dir that was set to something else is not removed.
func TestPurgeIsCareful(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&purge{dir, "node_id"}).do(); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis")); err != nil {
		t.Error("it is gone")
	}
}

// TestPurgeSaysWhatStays: files that the configuration has put elsewhere.
func TestPurgeSaysWhatStays(t *testing.T) {
	c := config.Default()
	c.DataDir, c.Store.Dir, c.Audit.Path = "/srv/skep", "/srv/skep-store", "/srv/skep/own/audit"
	c.Ship = map[string]config.Output{"a": {File: config.ShipFile{Path: "/srv/a.jsonl"}}, "b": {File: config.ShipFile{Path: "/var/log/skep/b"}}, "c": {}}
	root := Options{From: "/", Root: "/r", Prefix: "/usr", Config: c, Purge: true}
	packaged := root
	packaged.From, packaged.Purge = "", false
	keeps := root
	keeps.Purge = false
	for name, tt := range map[string]struct {
		o    Options
		want []string
	}{
		"purge":    {root, []string{"/r/srv/skep-store (store.dir", "/r/srv/a.jsonl (ship.a.file"}},
		"packaged": {packaged, []string{"/r/srv/skep (data_dir", "/r/srv/skep-store (store.dir", "/r/srv/skep/own/audit (audit.path", "/r/srv/a.jsonl (ship.a.file"}},
		"no purge": {keeps, nil},
	} {
		text := describe(Uninstall(tt.o))
		if n := strings.Count(text, "leave "); n != len(tt.want) {
			t.Errorf("%s: %d lines, want %d:\n%s", name, n, len(tt.want), text)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, "leave "+want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
}

func TestMissingPrograms(t *testing.T) {
	p, err := Install(Options{From: t.TempDir(), Root: t.TempDir(), Prefix: "/usr"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(io.Discard); err == nil || !strings.Contains(err.Error(), "beside each other") {
		t.Errorf("got %v", err)
	}
}
