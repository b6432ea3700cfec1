// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// scene is an agent that watches dir/watched, the file dir/other/file, and dir/late and
// dir/gap/in/late, which are not there at first.
type scene struct {
	t      *testing.T
	agent  *skepdtest.Agent
	stream *skepdtest.Stream
	dir    string
	exact  bool // of this rung: no symlink hides anything
}

func newScene(t *testing.T, rung string) *scene {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs and mounts")
	}
	dir, err := os.MkdirTemp("", "skep-e2e-files-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"watched/sub/deep", "other", "bind"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	must(t, os.Chmod(dir, 0o755))
	for _, f := range []string{"watched/file", "watched/sub/file", "other/file", "other/plain"} {
		must(t, os.WriteFile(filepath.Join(dir, f), []byte("text"), 0o644))
	}
	must(t, os.Symlink("watched", filepath.Join(dir, "alias")))
	// Not made when it is used: a symlink that is followed within the clock tick it was made
	// in has its time written, and the agent does not resolve what may wait for a disk.
	must(t, os.Symlink("../watched/file", filepath.Join(dir, "other/to")))
	must(t, unix.Mount(filepath.Join(dir, "watched/sub"), filepath.Join(dir, "bind"), "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(dir, "bind"), unix.MNT_DETACH) })
	config := skepdtest.WriteConfig(t, fmt.Sprintf("sensors:\n  files:\n    paths: [%s/watched, %s/late, %s/gap/in/late, %s/other/file]\n", dir, dir, dir, dir))
	args := []string{"--config", config}
	if rung != "" {
		args = append(args, "--force-rung", "file="+rung)
	}
	agent := skepdtest.Start(t, args...)
	used := agent.Rung(t, "file")
	if rung != "" && used != rung {
		t.Skipf("needs the rung %s, which does not work here", rung)
	}
	return &scene{t, agent, agent.Observe(t, &skepv1.Filter{Kinds: []string{"file", "exit", "loss"}}), dir, used != "sys_exit"}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// path is a call or text with $ for the scene's directory.
func (s *scene) path(text string) string { return strings.ReplaceAll(text, "$", s.dir) }

// step is a call, and what is to be told of it: "operation path[ -> path]", "" for nothing.
type step struct {
	call string
	want string
}

// run makes the calls of the steps in one process and compares what is told.
func (s *scene) run(t *testing.T, steps ...step) []*skepv1.Record {
	t.Helper()
	var calls []call
	for _, step := range steps {
		calls = append(calls, strings.Fields(s.path(step.call)))
	}
	pid, errors := play(t, calls...)
	return s.compare(t, pid, errors, steps)
}

func (s *scene) compare(t *testing.T, pid uint32, errors []string, steps []step) []*skepv1.Record {
	t.Helper()
	var want []string
	for i, step := range steps {
		if step.want == "" {
			continue
		}
		if whole, ok := strings.CutPrefix(step.want, "ok "); ok { // with its result
			want = append(want, whole)
			continue
		}
		want = append(want, strings.TrimRight(s.path(step.want)+" "+errors[i], " "))
	}
	records := s.of(t, pid, len(want))
	if got := lines(records); !slices.Equal(got, want) {
		t.Errorf("told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return records
}

// of returns what was told of a process that has ended, once there are so many.
func (s *scene) of(t *testing.T, pid uint32, n int) []*skepv1.Record {
	t.Helper()
	seen := 0
	for end := time.Now().Add(skepdtest.Patience); seen < n && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		seen = len(s.stream.Of("file", int(pid)))
	}
	s.stream.Wait(t, "exit", int(pid))
	s.stream.Sync(t) // for what should not come
	s.stream.Sync(t)
	return s.stream.Of("file", int(pid))
}

func lines(records []*skepv1.Record) (all []string) {
	for _, r := range records {
		f := r.GetFile()
		line := f.Operation + " " + f.Path
		for _, more := range []string{f.NewPath, f.Target} {
			if more != "" {
				line += " -> " + more
			}
		}
		if f.ErrorName != "" {
			line += " " + f.ErrorName
		}
		all = append(all, line)
	}
	return all
}

var (
	create = strconv.Itoa(unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC)
	write  = strconv.Itoa(unix.O_WRONLY)
	excl   = strconv.Itoa(unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL)
	touch  = strconv.Itoa(unix.O_RDONLY | unix.O_CREAT)
	read   = strconv.Itoa(unix.O_RDONLY)
)

// rungs are tried one by one; those that do not work here are skipped.
var rungs = []string{"fentry", "fentry_probe", "kprobe", "tracepoint", "tp_btf", "sys_exit"}

// TestRungs: on each rung the same is told of the same calls.
func TestRungs(t *testing.T) {
	for _, rung := range rungs {
		t.Run(rung, func(t *testing.T) {
			s := newScene(t, rung)
			for name, steps := range cases {
				t.Run(name, func(t *testing.T) { s.run(t, steps...) })
			}
			t.Run("through a symlink", s.testSymlink)
			t.Run("objects", s.testObjects)
			t.Run("names", s.testNames)
			t.Run("late", s.testLate)
			t.Run("views", s.testViews)
			t.Run("hostile", s.testHostile)
			s.checkStatus(t)
		})
	}
}

// checkStatus: nothing was lost, and every number came.
func (s *scene) checkStatus(t *testing.T) {
	t.Helper()
	for _, l := range s.agent.Status(t).Losses {
		if l.Kind == "file" && l.Count > 0 || l.Place == "malformed" {
			t.Errorf("lost: %v", l)
		}
	}
	next := uint64(0)
	for _, r := range s.stream.All(func(r *skepv1.Record) bool { return r.Kind == "file" }) {
		if next != 0 && r.Seq != next {
			t.Errorf("record %d follows %d", r.Seq, next-1)
		}
		next = r.Seq + 1
	}
}

// cases hold on every rung. Each leaves the scene as it was.
var cases = map[string][]step{
	"create and remove": {
		{"open $/watched/new " + create, "create $/watched/new"},
		{"open $/watched/new " + create, "open $/watched/new"},
		{"open $/watched/new " + read, ""},
		{"open $/watched/new " + touch, ""},
		{"open $/watched/new2 " + touch, "create $/watched/new2"},
		{"openat2 $/watched/new " + write, "open $/watched/new"},
		{"openat $/watched new " + write, "open $/watched/new"},
		{"unlink $/watched/new", "unlink $/watched/new"},
		{"unlinkat $/watched new2 0", "unlink $/watched/new2"},
	},
	"directories": {
		{"mkdir $/watched/d", "mkdir $/watched/d"},
		{"mkdirat $/watched/d e", "mkdir $/watched/d/e"},
		{"unlinkat $/watched/d e 0x200", "rmdir $/watched/d/e"},
		{"rmdir $/watched/d", "rmdir $/watched/d"},
	},
	"links": {
		{"link $/watched/file $/watched/hard", "link $/watched/file -> $/watched/hard"},
		{"symlink to/nowhere $/watched/soft", "symlink $/watched/soft -> to/nowhere"},
		{"mknod $/watched/fifo", "mknod $/watched/fifo"},
		{"lchown $/watched/soft 1 1", "chown $/watched/soft"},
		{"unlink $/watched/hard", "unlink $/watched/hard"},
		{"unlink $/watched/soft", "unlink $/watched/soft"},
		{"unlink $/watched/fifo", "unlink $/watched/fifo"},
	},
	"renames": {
		{"rename $/watched/file $/watched/file2", "rename $/watched/file -> $/watched/file2"},
		{"rename $/watched/file2 $/other/out", "rename $/watched/file2 -> $/other/out"},
		{"renameat2 $/other out $/watched file 1", "rename $/other/out -> $/watched/file"},
		{"rename $/watched/sub/deep $/watched/deeper", "rename $/watched/sub/deep -> $/watched/deeper"},
		{"rename $/watched/deeper $/watched/sub/deep", "rename $/watched/deeper -> $/watched/sub/deep"},
	},
	"mode and owner": {
		{"chmod $/watched/file 0600", "chmod $/watched/file"},
		{"fchmod $/watched/file 0644", "chmod $/watched/file"},
		{"chown $/watched/file 1 -1", "chown $/watched/file"},
		{"fchown $/watched/file 0 0", "chown $/watched/file"},
		{"chmod $/watched 0755", "chmod $/watched"},
	},
	// What a search has found of a directory does not outlive a move of it, or of one above.
	"moved after use": {
		{"mkdir $/other/d", ""},
		{"mkdir $/other/d/e", ""},
		{"open $/other/d/e/f " + create, ""},
		{"open $/other/d/e/f " + write, ""},
		{"rename $/other/d/e $/watched/e", "rename $/other/d/e -> $/watched/e"},
		{"open $/watched/e/f " + write, "open $/watched/e/f"},
		{"rename $/watched/e $/other/d/e", "rename $/watched/e -> $/other/d/e"},
		{"open $/other/d/e/f " + write, ""},
		{"open $/other/d/e/f " + write, ""},
		{"rename $/other/d $/watched/d", "rename $/other/d -> $/watched/d"},
		{"open $/watched/d/e/f " + write, "open $/watched/d/e/f"},
		{"rename $/watched/d $/other/d", "rename $/watched/d -> $/other/d"},
		{"open $/other/d/e/f " + write, ""},
		{"open $/other/d/e/f " + write, ""},
		{"bind $/other/d $/watched/sub", ""},
		{"open $/watched/sub/e/f " + write, "open $/watched/sub/e/f"},
		{"open $/other/d/e/f " + write, ""},
		{"open $/watched/sub/e/f " + write, "open $/watched/sub/e/f"},
		{"unlink $/other/d/e/f", ""},
		{"rmdir $/other/d/e", ""},
		{"rmdir $/other/d", ""},
	},
	"relative": {
		{"chdir $/watched/sub", ""},
		{"open x " + create, "create $/watched/sub/x"},
		{"rename x y", "rename $/watched/sub/x -> $/watched/sub/y"},
		{"unlink ../sub/y", "unlink $/watched/sub/y"},
		{"chdir $", ""},
		{"mkdir watched/r", "mkdir $/watched/r"},
		{"rmdir ./watched/../watched/r", "rmdir $/watched/r"},
	},
	"failures": {
		{"unlink $/watched/none", "unlink $/watched/none"},
		{"mkdir $/watched/sub", "mkdir $/watched/sub"},
		{"open $/watched/file " + excl, "open $/watched/file"},
		{"rmdir $/watched/sub", "rmdir $/watched/sub"},
		{"rename $/watched/none $/other/none", "rename $/watched/none -> $/other/none"},
		{"link $/other/plain $/watched/file", "link $/other/plain -> $/watched/file"},
		{"chmod $/watched/none 0644", "chmod $/watched/none"},
		{"symlink text $/watched/file", "symlink $/watched/file -> text"},
		{"chdir $", ""},
		{"mkdir watched/sub", "mkdir $/watched/sub"},
		{"unlink watched/none/none", "unlink $/watched/none/none"},
		{"setuid 65534", ""},
		{"open $/watched/file " + write, "open $/watched/file"},
		{"unlink $/watched/file", "unlink $/watched/file"},
		{"mkdir $/watched/d", "mkdir $/watched/d"},
		{"chown $/watched/file 65534 65534", "chown $/watched/file"},
		{"chmod $/watched/file 0777", "chmod $/watched/file"},
	},
	"one file": {
		{"open $/other/file " + write, "open $/other/file"},
		{"rename $/other/file $/other/aside", "rename $/other/file -> $/other/aside"},
		{"open $/other/file " + create, "create $/other/file"},
	},
	"not watched": {
		{"open $/other/x " + create, ""},
		{"open $/other/x " + excl, ""},
		{"open $/watchedx " + write, ""},
		{"rename $/other/x $/other/y", ""},
		{"link $/other/y $/other/x", ""},
		{"chmod $/other/y 0600", ""},
		{"chown $/other/y 1 1", ""},
		{"symlink $/watched/file $/other/s", ""},
		{"mkdir $/other/d", ""},
		{"rmdir $/other/d", ""},
		{"unlink $/other/s", ""},
		{"unlink $/other/x", ""},
		{"unlink $/other/none", ""},
		{"unlink $/watched/../other/none", ""},
		{"chdir $", ""},
		{"unlink other/y", ""},
		{"unlink none", ""},
		{"open $/watched/file " + read, ""},
	},
}

// testSymlink: what leads into a watched directory from outside.
func (s *scene) testSymlink(t *testing.T) {
	s.run(t,
		step{"open $/alias/a " + create, "create $/watched/a"},
		step{"open $/bind/b " + create, "create $/bind/b"},
		step{"unlink $/watched/sub/b", "unlink $/watched/sub/b"},
		step{"chdir $/alias", ""},
		step{"rename a c", "rename $/watched/a -> $/watched/c"},
		step{"unlink c", "unlink $/watched/c"},
	)
	if !s.exact {
		return // skep doctor says so
	}
	s.run(t,
		step{"mkdir $/alias/d", "mkdir $/watched/d"},
		step{"rename $/alias/d $/alias/e", "rename $/watched/d -> $/watched/e"},
		step{"rmdir $/alias/e", "rmdir $/watched/e"},
		step{"mkdir $/bind/f", "mkdir $/bind/f"},
		step{"rmdir $/bind/f", "rmdir $/bind/f"},
	)
	s.run(t, step{"chmod $/other/to 0640", "chmod $/watched/file"})
}

// testObjects: device, inode and type are those of stat(2), and details those of the call.
func (s *scene) testObjects(t *testing.T) {
	records := s.run(t,
		step{"open $/watched/o " + create, "create $/watched/o"},
		step{"chmod $/watched/o 04711", "chmod $/watched/o"},
		step{"chown $/watched/o 12 -1", "chown $/watched/o"},
	)
	var stat unix.Statx_t
	must(t, unix.Statx(unix.AT_FDCWD, s.path("$/watched/o"), 0, unix.STATX_INO, &stat))
	must(t, os.Remove(s.path("$/watched/o")))
	for i, r := range records {
		f := r.GetFile()
		if !s.exact && f.Operation != "create" && f.Inode == 0 {
			continue // skep doctor says so
		}
		if f.Inode != stat.Ino || f.Type != "file" || f.Device != fmt.Sprintf("%d:%d", stat.Dev_major, stat.Dev_minor) || f.ResultUnknown {
			t.Errorf("object of %v, want inode %d on device %d:%d", f, stat.Ino, stat.Dev_major, stat.Dev_minor)
		}
		want := [][3]string{{"O_WRONLY|O_CREAT|O_TRUNC", "0640", ""}, {"", "4711", ""}, {"", "", "12:"}}[min(i, 2)]
		if got := [3]string{f.Flags, f.Mode, f.Owner}; got != want {
			t.Errorf("%s: flags, mode and owner %q, want %q", f.Operation, got, want)
		}
		if r.Process.GetComm() != "exe" || r.Process.GetExecId() == "" {
			t.Errorf("process %v", r.Process)
		}
	}
	pid, errors := play(t, call(strings.Fields(s.path("tmpfile $/watched $/watched/named"))))
	if errors[0] != "" {
		t.Skipf("needs O_TMPFILE, which this filesystem refuses: %s", errors[0])
	}
	must(t, os.Remove(s.path("$/watched/named")))
	records = s.of(t, pid, 2)
	if len(records) != 2 || !strings.HasPrefix(records[0].GetFile().Path, s.path("$/watched/#")) ||
		!strings.Contains(records[0].GetFile().Flags, "O_TMPFILE") || records[1].GetFile().NewPath != s.path("$/watched/named") {
		t.Errorf("of a file without a name: %v", lines(records))
	}
}

// testLate: a path that was not there when the agent started, and one that is put in its place.
func (s *scene) testLate(t *testing.T) {
	s.run(t,
		step{"mkdir $/late", "mkdir $/late"},
		step{"open $/late/x " + create, "create $/late/x"},
		step{"mkdir $/late/d", "mkdir $/late/d"},
		step{"rename $/late $/gone", "rename $/late -> $/gone"},
		step{"mkdir $/late", "mkdir $/late"},
		step{"open $/late/y " + create, "create $/late/y"},
		step{"unlink $/late/y", "unlink $/late/y"},
		step{"rmdir $/late", "rmdir $/late"},
	)
	s.run(t,
		step{"mkdir $/gap", ""},
		step{"open $/gap/x " + create, ""},
		step{"mkdir $/gap/in", ""},
		step{"mkdir $/gap/in/late2", ""},
		step{"mkdir $/gap/in/late", "mkdir $/gap/in/late"},
		step{"open $/gap/in/late/x " + create, "create $/gap/in/late/x"},
	)
}
