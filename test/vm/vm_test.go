// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct{ older, newer string }{
		{"linux-image-6.12.94+deb13-cloud-amd64", "linux-image-6.12.107+deb13-cloud-amd64"},
		{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64"},
		{"linux-image-7.2.12", "linux-image-7.10.1"},
		{"linux-image-7.2.12", "linux-image-7.2.12+deb14"},
	} {
		if compareVersions(tt.older, tt.newer) >= 0 || compareVersions(tt.newer, tt.older) <= 0 {
			t.Errorf("%s is not older than %s", tt.older, tt.newer)
		}
	}
}

func TestLoadOrder(t *testing.T) {
	files := map[string]string{"bridge": "b", "stp": "s", "llc": "l", "veth": "v", "lonely": "x"}
	needs := map[string][]string{"b": {"stp", "llc"}, "s": {"llc"}, "x": {"nowhere"}}
	depends := func(file string) ([]string, error) { return needs[file], nil }
	order, err := loadOrder([]string{"bridge", "veth", "ipv6"}, files, depends)
	if want := []string{"llc", "stp", "bridge", "veth"}; err != nil || !slices.Equal(order, want) {
		t.Errorf("got %v, %v, want %v", order, err, want)
	}
	if _, err := loadOrder([]string{"lonely"}, files, depends); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a dependency without a file: got error %v", err)
	}
}

// TestCPIO has busybox unpack what we wrote.
func TestCPIO(t *testing.T) {
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip("needs busybox to unpack the archive")
	}
	dir := t.TempDir()
	host := filepath.Join(dir, "host")
	if err := os.WriteFile(host, []byte("12345"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(host, 0o640|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	c := newCPIO(&archive)
	c.data("/init", 0o755, "hello")
	c.file("a/b/../c/host", host)
	c.symlink("/bin/sh", "busybox")
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("busybox", "cpio", "-id")
	cmd.Dir, cmd.Stdin = filepath.Join(dir, "out"), &archive
	if err := os.Mkdir(cmd.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	for name, want := range map[string]string{"init": "-rwxr-xr-x hello", "a/c/host": "urw-r----- 12345"} {
		info, err := os.Stat(filepath.Join(cmd.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(filepath.Join(cmd.Dir, name))
		if got := fmt.Sprintf("%v %s", info.Mode(), text); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if target, err := os.Readlink(filepath.Join(cmd.Dir, "bin/sh")); target != "busybox" {
		t.Errorf("bin/sh links to %q (%v)", target, err)
	}
}

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"", "plain", "it's", `"$HOME" \ * ;`, "two\nlines", "''"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("quoted %q came back as %q (%v)", s, out, err)
		}
	}
}

func TestParseTranscript(t *testing.T) {
	commands := [][]string{{"a"}, {"b"}, {"c"}}
	m := marker("N")
	text := m + " ready 1.5\n" +
		m + " start 0\nno newline at end\n" + m + " exit 0 3\n" +
		m + " start 1\n" + marker("OTHER") + " exit 1 0\nin a line " + m + " exit 1 0\n\n" + m + " exit 1 7\n" +
		m + " start 2\nhalf of its out"
	got := parseTranscript(text, "N", commands)
	want := transcript{ready: true, uptime: "1.5", commands: []CommandResult{
		{Args: []string{"a"}, Finished: true, ExitCode: 3, Output: "no newline at end"},
		{Args: []string{"b"}, Finished: true, ExitCode: 7, Output: marker("OTHER") + " exit 1 0\nin a line " + m + " exit 1 0\n"},
		{Args: []string{"c"}, Output: "half of its out"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestCaptureTells: marked lines are told once, however what a port says is cut into pieces.
func TestCaptureTells(t *testing.T) {
	m := marker("N") + " "
	text := m + "ready 1.5\n" + m + "start 0\nsome output\n" + marker("OTHER") + " exit 0 1\n" + m + "exit 0 0\n" + m + "half"
	want := []string{"ready 1.5", "start 0", "exit 0 0"}
	for size := 1; size <= len(text); size++ {
		var got []string
		c := &capture{mark: []byte(m), marked: func(line string, _ time.Duration) { got = append(got, line) }}
		for piece := range slices.Chunk([]byte(text), size) {
			_, _ = c.Write(piece)
		}
		if !slices.Equal(got, want) || c.text() != text {
			t.Fatalf("in pieces of %d: told %q, want %q; kept %q", size, got, want, c.text())
		}
	}
}

func TestClock(t *testing.T) {
	var boot time.Duration
	var got []string
	g := Guest{Ended: func(command int, took time.Duration) { got = append(got, fmt.Sprint(command, " ", took)) }}
	told := g.clock(&boot)
	for i, line := range []string{"ready 1.5", "start 0", "exit 0 0", "start 1", "exit 1 2", "exit", "done"} {
		told(line, time.Duration((i+1)*(i+1))*time.Second)
	}
	if want := []string{"0 5s", "1 9s"}; boot != time.Second || !slices.Equal(got, want) {
		t.Errorf("boot took %v, commands %q; want 1s, %q", boot, got, want)
	}
}

func TestFindOops(t *testing.T) {
	console := "[    1.0] nothing: Oops\n[   44.403341] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n" +
		"[   44.408337] Oops: int3: 0000 [#2]\n[   44.415090] Kernel panic - not syncing: Fatal exception in interrupt\n"
	if got, want := findOops(console), "(Oops: int3: 0000 [#1] PREEMPT SMP NOPTI)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := findOops("[    1.0] all is well\n"); got != "" {
		t.Errorf("without an oops: %q", got)
	}
}

func TestParseLdd(t *testing.T) {
	got, err := parseLdd("\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n")
	if want := []string{"/lib/libc.so.6", "/lib64/ld.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := parseLdd("\tliba.so => not found\n"); err == nil || !strings.Contains(err.Error(), "liba.so") {
		t.Errorf("a missing library: got error %v", err)
	}
}

// TestRunReportsFailures has guests fail in each way that Run must tell apart.
func TestRunReportsFailures(t *testing.T) {
	if os.Getenv("SKEP_VM") != "1" {
		t.Skip("boots guests: set SKEP_VM=1")
	}
	k, err := Lookup("6.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, script, want string
		timeout            time.Duration // boot included
	}{
		{"panic", "echo before; echo c >/proc/sysrq-trigger", "Kernel panic - not syncing: sysrq triggered crash", time.Minute},
		{"hang", "echo before; sleep 1000", "no end after 20s", 20 * time.Second},
		{"power off", "echo before; stty -F /dev/ttyS1 raw; poweroff -f", "powered off before its last command ended", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			guest := Guest{Commands: [][]string{{"sh", "-c", "exit 5"}, {"sh", "-c", tt.script}}, Timeout: tt.timeout}
			result, err := Run(t.Context(), k, guest)
			if !errors.Is(err, ErrGuest) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if c := result.Commands[0]; !c.Finished || c.ExitCode != 5 {
				t.Errorf("the command before: %+v", c)
			}
			if c := result.Commands[1]; c.Finished || !strings.Contains(c.Output, "before") {
				t.Errorf("the failing command: %+v", c)
			}
		})
	}
}
