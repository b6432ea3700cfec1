// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// fakeHost has paths, and where each leads.
type fakeHost map[string]Found

func (h fakeHost) Find(path string) (Found, bool) { f, ok := h[path]; return f, ok }

// hostOf has these paths, with the inodes 1, 2 and so on. "a>b" is a symlink.
func hostOf(paths ...string) fakeHost {
	h := fakeHost{}
	for i, p := range paths {
		if from, to, link := strings.Cut(p, ">"); link {
			h[from] = h[to]
			continue
		}
		h[p] = Found{abi.FileObject{Inode: uint64(i + 1), Device: 7}, p}
	}
	return h
}

func (p *Plan) watchOf(inode uint64) abi.FileWatch {
	return abi.FileWatch(p.Objects[abi.FileObject{Inode: inode, Device: 7}])
}

func (p *Plan) named(inode uint64, name string) uint32 {
	key := abi.FileName{Directory: abi.FileObject{Inode: inode, Device: 7}}
	copy(key.Name[:], name)
	return p.Names[key]
}

func TestPlan(t *testing.T) {
	p := NewPlan([]string{"/etc", "/srv/data/late", "/run/x"}, hostOf("/", "/etc", "/srv", "/run", "/real", "/run/x>/real"))
	for inode, want := range map[uint64]abi.FileWatch{
		1: abi.WatchRoot | abi.WatchAbove | abi.WatchNames, 2: abi.WatchTree, 3: abi.WatchAbove | abi.WatchNames,
		4: abi.WatchAbove | abi.WatchNames, 5: abi.WatchTree,
	} {
		if got := p.watchOf(inode); got != want {
			t.Errorf("object %d is %04b, want %04b", inode, got, want)
		}
	}
	for _, c := range []struct {
		inode uint64
		name  string
		want  uint32
	}{{1, "etc", nameExact}, {1, "srv", 0}, {3, "data", namePart}, {4, "x", nameExact}, {1, "real", nameExact}} {
		if got := p.named(c.inode, c.name); got != c.want {
			t.Errorf("name %s in %d: %d, want %d", c.name, c.inode, got, c.want)
		}
	}
	if !slices.Equal(p.Missing, []string{"/srv/data/late"}) || len(p.Prefixes) != 8 {
		t.Errorf("missing %q, %d prefixes", p.Missing, len(p.Prefixes))
	}
	for name, want := range map[string]bool{
		"/etc": true, "/etc/passwd": true, "/etcetera": false, "/": false, "/srv/data/late/x": true, "/srv/data": false, "/real/y": true, "": false,
	} {
		if p.Watched(name) != want {
			t.Errorf("%q watched: %t", name, !want)
		}
	}
	for name, want := range map[string]bool{"/srv": true, "/srv/data": true, "/srv/data/late": true, "/srv/other": false, "/etc/x": false, "/": true} {
		if p.Leads(name) != want {
			t.Errorf("%q leads there: %t", name, !want)
		}
	}
	root := NewPlan([]string{"/"}, hostOf("/"))
	if root.watchOf(1) != abi.WatchTree|abi.WatchRoot || !root.Watched("/x") || !root.Watched("/") {
		t.Errorf("the root is %04b", root.watchOf(1))
	}
}

// TestMounts: the numbers that the kernel side compares are those of stat(2), where the
// filesystem has one device.
func TestMounts(t *testing.T) {
	m, err := ReadMounts()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir := t.TempDir()
	if err := os.Symlink(dir, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self", &stat); err != nil {
		t.Fatal(err)
	}
	found, ok := m.Find("/proc")
	if want := unix.Major(stat.Dev)<<20 | unix.Minor(stat.Dev); !ok || found.Object.Device != want {
		t.Errorf("/proc is on %x (%t), want %x", found.Object.Device, ok, want)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	direct, _ := m.Find(dir)
	if through, ok := m.Find(dir + "/link"); !ok || through != direct || through.Path != real {
		t.Errorf("through a symlink: %+v (%t), want %+v", through, ok, direct)
	}
	if _, ok := m.Find(dir + "/none"); ok {
		t.Error("found what is not there")
	}
	if path, ok := Resolve(0, dir+"/link"); ok && path != real { // it may have left the kernel's cache
		t.Errorf("resolved to %q, want %q", path, real)
	}
	if path, ok := Resolve(0, "/proc/self/fd"); ok {
		t.Errorf("resolved the agent's own %q", path)
	}
}

// TestMountsOfAnother: paths are those of the process that stands for the host, and not
// those of the agent, from which a mount hides some.
func TestMountsOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", `mount -t tmpfs t "$1" && mkdir "$1/a" && ln -s "$1/a" "$1/l" && echo && read end`, "sh", dir)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	m, err := mountsOf(strconv.Itoa(c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var stat unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/root%s/a", c.Process.Pid, dir), &stat); err != nil {
		t.Fatal(err)
	}
	want := Found{abi.FileObject{Inode: stat.Ino, Device: unix.Major(stat.Dev)<<20 | unix.Minor(stat.Dev)}, dir + "/a"}
	if found, ok := m.Find(dir + "/l"); !ok || found != want {
		t.Errorf("found %+v (%t), want %+v", found, ok, want)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // read has nothing to read
}

func FuzzMounts(f *testing.F) {
	f.Add("25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n26 30 254:1 / / rw - ext4 /dev/vda rw\n")
	f.Add("x y z\n1 2 3\n1 2 9999999:1 /\n1 2 1:99999999\n\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMounts(strings.NewReader(text))
		if err == nil && len(m.devices) > strings.Count(text, "\n")+1 {
			t.Errorf("%d devices of %q", len(m.devices), text)
		}
	})
}
