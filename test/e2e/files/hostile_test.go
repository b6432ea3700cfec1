// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// testViews: the same objects under other names: another root, another mount namespace.
func (s *scene) testViews(t *testing.T) {
	s.run(t,
		step{"chroot $", ""},
		step{"open /watched/z " + create, "ok create /watched/z"},
		step{"mkdir /watched/q", "ok mkdir /watched/q"},
		step{"rmdir /watched/q", "ok rmdir /watched/q"},
		step{"unlink /watched/none", "ok unlink /watched/none ENOENT"},
		step{"unlink /other/none", "ok unlink /other/none ENOENT"}, // where it would have led is not known
		step{"unlink /watched/z", "ok unlink /watched/z"},
	)
	s.run(t,
		step{"bind $/watched/sub $/other", ""},
		step{"open $/other/in " + create, "create $/other/in"},
		step{"chdir $/other", ""},
		step{"rename in out", "rename $/other/in -> $/other/out"},
		step{"unlink out", "unlink $/other/out"},
		step{"open $/watched/sub/x " + create, "create $/watched/sub/x"},
		step{"unlink $/watched/sub/x", "unlink $/watched/sub/x"},
	)
}

// testHostile: names that processes choose to mislead or to overflow.
func (s *scene) testHostile(t *testing.T) {
	line := s.dir + "/watched/a\nb\x1b[31m"
	pid, _ := play(t, call{"open", line, create}, call{"unlink", line})
	if got := lines(s.of(t, pid, 2)); len(got) != 2 || got[0] != "create "+line || got[1] != "unlink "+line {
		t.Errorf("of a name with control characters: %q", got)
	}

	// A path of 4,095 bytes, the longest there is: its front does not fit into a record.
	name := strings.Repeat("n", 200)
	depth := (4094 - len(s.dir+"/watched") - 1) / (len(name) + 1)
	long := s.dir + "/watched" + strings.Repeat("/"+name, depth)
	long += "/" + strings.Repeat("x", 4094-len(long))
	pid, errors := play(t, call{"deep", s.dir + "/watched", fmt.Sprint(depth), name}, call{"open", long, create}, call{"unlink", long}, call{"unlink", long + "y"})
	if len(errors) != 4 || errors[1] != "" || errors[2] != "" || errors[3] != "ENAMETOOLONG" {
		t.Fatalf("a path of %d bytes: %q", len(long), errors)
	}
	records := s.of(t, pid, depth+2)
	var opened, removed *skepv1.FileOperation
	for _, r := range records {
		switch f := r.GetFile(); {
		case f.Operation == "create":
			opened = f
		case f.Operation == "unlink" && f.ErrorName == "":
			removed = f
		}
	}
	if opened == nil || !opened.PathTruncated || !strings.HasSuffix(long, opened.Path) || len(opened.Path) < 2000 {
		t.Errorf("of a long path: %v", opened)
	}
	if removed == nil || !(removed.Path == long || removed.PathTruncated && strings.HasSuffix(long, removed.Path)) {
		t.Errorf("of a long path, removed: %v", removed)
	}
	must(t, os.RemoveAll(s.dir+"/watched/"+name))

	// 80 directories: deeper than the search goes. Told, wherever it is.
	for dir, told := range map[string]bool{"watched": true, "other": true} {
		pid, errors := play(t, call{"deep", s.dir + "/" + dir, "80", "d"}, call{"open", "f", create})
		if errors[0] != "" || errors[1] != "" {
			t.Fatal(errors)
		}
		n := 0
		for _, r := range s.of(t, pid, 1) {
			if f := r.GetFile(); f.Operation == "create" && f.PathTruncated && strings.HasSuffix(f.Path, "d/d/f") {
				n++
			}
		}
		if (n == 1) != told {
			t.Errorf("%d records of a file 80 directories below %s", n, dir)
		}
		must(t, os.RemoveAll(s.dir+"/"+dir+"/d"))
	}
}

// TestPrograms: what people use, and that it is they who are named.
func TestPrograms(t *testing.T) {
	for _, p := range []string{"touch", "mv", "ln", "chmod", "chown", "rm", "mkdir", "rmdir", "python3", "stat"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
	s := newScene(t, "")
	for _, c := range []struct {
		command string
		want    []string
	}{
		{"touch watched/p", []string{"create $/watched/p"}},
		{"chmod 0601 watched/p", []string{"chmod $/watched/p"}},
		{"chown 1:2 watched/p", []string{"chown $/watched/p"}},
		{"ln watched/p watched/q", []string{"link $/watched/p -> $/watched/q"}},
		{"ln -s p watched/r", []string{"symlink $/watched/r -> p"}},
		{"mv watched/q watched/s", []string{"rename $/watched/q -> $/watched/s"}},
		{"python3 -c open('watched/p','a').write('x')", []string{"open $/watched/p"}},
		{"python3 -c import\tos;os.replace('watched/s','other/s')", []string{"rename $/watched/s -> $/other/s"}},
		{"mkdir watched/t", []string{"mkdir $/watched/t"}},
		{"rmdir watched/t", []string{"rmdir $/watched/t"}},
		{"rm watched/p watched/r", []string{"unlink $/watched/p", "unlink $/watched/r"}},
		{"rm other/s", nil},
		{"rm -f watched/none", []string{"unlink $/watched/none ENOENT"}},
		{"touch other/x", nil},
	} {
		args := strings.Split(c.command, " ")
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = s.dir
		if args[0] == "python3" {
			cmd.Args[2] = strings.ReplaceAll(cmd.Args[2], "\t", " ")
		}
		var inode string
		if len(c.want) > 0 && args[0] == "chmod" {
			out, err := exec.Command("stat", "-c", "%i", filepath.Join(s.dir, "watched/p")).Output()
			must(t, err)
			inode = strings.TrimSpace(string(out))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c.command, err, out)
		}
		records := s.of(t, uint32(cmd.Process.Pid), len(c.want))
		got := lines(records)
		var want []string
		for _, w := range c.want {
			want = append(want, s.path(w))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: told %q, want %q", c.command, got, want)
		}
		for _, r := range records {
			if r.Process.GetComm() != args[0] {
				t.Errorf("%s: the process is %v", c.command, r.Process)
			}
			if inode != "" && fmt.Sprint(r.GetFile().Inode) != inode {
				t.Errorf("%s: inode %d, stat says %s", c.command, r.GetFile().Inode, inode)
			}
		}
	}
}

// TestFullRing: what is told and what is counted as lost is what was done.
func TestFullRing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	dir := t.TempDir()
	agent := skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "rings: {telemetry_bytes: 64KiB}\nsensors: {files: {paths: ["+dir+"]}}\n"))
	stream := agent.Observe(t, &skepv1.Filter{Kinds: []string{"file", "exit"}})
	const n = 3000
	pid, errors := play(t, call{"storm", dir, fmt.Sprint(n)})
	if errors[0] != "" {
		t.Fatal(errors)
	}
	stream.Wait(t, "exit", int(pid))
	stream.Sync(t)
	stream.Sync(t)
	told := uint64(len(stream.Of("file", int(pid))))
	var lost uint64
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if lost = lostOf(t, agent, "file"); told+lost >= 2*n { // the counters are read now and then
			break
		}
	}
	// What the kernel did not run a program for, which a preempted one keeps from running, is
	// counted too, though not of which kind it would have been.
	missed := uint64(0)
	for _, p := range agent.Status(t).Programs {
		missed += p.Missed
	}
	if told+lost > 2*n || told+lost+missed < 2*n {
		t.Errorf("%d told, %d lost and %d runs missed of %d", told, lost, missed, 2*n)
	}
}

func lostOf(t *testing.T, agent *skepdtest.Agent, kind string) (lost uint64) {
	for _, l := range agent.Status(t).Losses {
		if l.Kind == kind {
			lost += l.Count
		}
	}
	return lost
}
