// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// foreign is what somebody else has in the kernel: a pinned program and map, a link to a
// cgroup, pins beside skep's with names like skep's, and a tc filter.
type foreign struct {
	t       *testing.T
	program *ebpf.Program
	link    link.Link
	m       *ebpf.Map
	dir     string
	netns   string
}

func newForeign(t *testing.T, h *house) *foreign {
	t.Helper()
	f := &foreign{t: t, dir: h.pins + "-foreign"}
	for _, dir := range []string{f.dir, h.pins, h.pins + "/foreign"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	f.m = pinMap(t, f.dir+"/map")
	pinMap(t, h.pins+"/foreign/critical")
	pinMap(t, h.pins+"/map")
	f.attach()
	f.filter()
	return f
}

func (f *foreign) attach() {
	f.t.Helper()
	var err error
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "foreign", Type: ebpf.CGroupSKB, License: "GPL",
		AttachType: ebpf.AttachCGroupInetEgress, Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R1, f.m.FD()), asm.Mov.Imm(asm.R0, 1), asm.Return()}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.program.Close() })
	if err := f.program.Pin(f.dir + "/program"); err != nil {
		f.t.Fatal(err)
	}
	f.link, err = link.AttachCgroup(link.CgroupOptions{Path: skepdtest.Cgroup2(f.t), Attach: ebpf.AttachCGroupInetEgress, Program: f.program})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.link.Close() })
	if err := f.link.Pin(f.dir + "/link"); err != nil {
		f.t.Fatal(err)
	}
}

// filter attaches the foreign program's like to a queue discipline.
func (f *foreign) filter() {
	f.t.Helper()
	if inGuest {
		return
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "foreign_tc", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		f.t.Fatal(err)
	}
	defer program.Close()
	if err := program.Pin(f.dir + "/tc"); err != nil {
		f.t.Fatal(err)
	}
	f.netns = fmt.Sprint("skep-agent-", os.Getpid())
	f.run("ip", "netns", "add", f.netns)
	f.t.Cleanup(func() { exec.Command("ip", "netns", "del", f.netns).Run() })
	f.run("ip", "-n", f.netns, "link", "set", "lo", "up")
	f.run("tc", "-n", f.netns, "qdisc", "add", "dev", "lo", "clsact")
	// tc -n has its own mounts: give the pin by its path.
	f.run("nsenter", "--net=/run/netns/"+f.netns, "tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "object-pinned", f.dir+"/tc")
}

func (f *foreign) run(name string, args ...string) string {
	f.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// inGuest is a guest of the kernel matrix, which has neither tc nor bpftool. Elsewhere both
// must be there: see needTools.
var inGuest = os.Getenv("SKEP_KERNEL") != ""

// needTools fails, and does not skip, where what looks at the kernel beside skep is missing.
func needTools(t *testing.T) {
	t.Helper()
	if inGuest {
		return
	}
	for _, name := range []string{"bpftool", "ip", "nsenter", "tc"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("needs %s to see what others have in the kernel: apt-get install bpftool iproute2 util-linux", name)
		}
	}
}

// picture is everything that can be seen of it, also by bpftool and tc but in a guest.
func (f *foreign) picture(h *house) string {
	f.t.Helper()
	var b strings.Builder
	for _, dir := range []string{f.dir, h.pins + "/foreign"} {
		fmt.Fprintln(&b, pinned(f.t, dir))
	}
	if _, err := os.Lstat(h.pins + "/map"); err != nil {
		fmt.Fprintln(&b, err)
	}
	p, err := f.program.Info()
	l, lErr := f.link.Info()
	if err != nil || lErr != nil {
		f.t.Fatal(err, lErr)
	}
	id, _ := p.ID()
	fmt.Fprintln(&b, id, p.Name, p.Tag, l.ID, l.Type, l.Program)
	attached, err := link.QueryPrograms(link.QueryOptions{Target: f.cgroup(), Attach: ebpf.AttachCGroupInetEgress})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, a := range attached.Programs {
		if a.ID == id {
			fmt.Fprintln(&b, "attached")
		}
	}
	if f.netns != "" {
		b.WriteString(f.run("tc", "-n", f.netns, "-j", "qdisc", "show"))
		b.WriteString(f.run("tc", "-n", f.netns, "-j", "filter", "show", "dev", "lo", "ingress"))
	}
	if !inGuest {
		b.WriteString(f.run("bpftool", "-j", "prog", "show", "pinned", f.dir+"/program"))
		b.WriteString(f.run("bpftool", "-j", "link", "show", "pinned", f.dir+"/link"))
		b.WriteString(f.run("bpftool", "-j", "map", "show", "pinned", f.dir+"/map"))
		b.WriteString(f.run("bpftool", "-j", "map", "dump", "pinned", f.dir+"/map"))
	}
	return b.String()
}

func (f *foreign) cgroup() int {
	f.t.Helper()
	dir, err := os.Open(skepdtest.Cgroup2(f.t))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { dir.Close() })
	return int(dir.Fd())
}

// TestForeignUntouched: what others have in the kernel is the same after anything that
// skep does.
func TestForeignUntouched(t *testing.T) {
	h := newHouse(t)
	needTools(t)
	f := newForeign(t, h)
	want := f.picture(h)
	check := func(what string) {
		t.Helper()
		if now := f.picture(h); now != want {
			t.Errorf("after %s:\n%s\nbefore:\n%s", what, now, want)
		}
	}
	a := h.start()
	check("start")
	a.stop()
	check("stop")
	a = h.start()
	a.kill()
	check("kill -9")
	h.yaml += tinyRings + "\n"
	a = h.start()
	check("start with other rings")
	a.stop()
	h.start("--ephemeral").stop()
	check("an ephemeral agent's stop")
	private := newPrivateHouse(t)
	private.start().stop()
	check("a private agent")
	h.start().kill()
	if out, err := h.command("remove").CombinedOutput(); err != nil {
		t.Errorf("skepd remove: %v: %s", err, out)
	}
	check("remove")
	if dirs, _ := filepath.Glob(h.pins + "/*"); len(dirs) != 2 {
		t.Errorf("of skep's own something is left: %v", dirs)
	}
}
