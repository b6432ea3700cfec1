// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testArgv(t *testing.T, s *scene) {
	for name, argv := range map[string][]string{
		"plain":            {"self", "a", "b c"},
		"empty":            {"self", "", "x", "", ""},
		"only empty":       {""},
		"other name":       {"-login shell"},
		"not UTF-8":        {"self", "\xff\xfe", "ok", "caf\xe9"},
		"control":          {"self", "a\nb", "\x1b[31mred\x1b[0m", "\r\t\a", "\u202e"},
		"nearly too long":  {"self", strings.Repeat("n", 4096-6)},
		"exactly too long": {"self", strings.Repeat("n", 4096-5)},
		"too long":         {"self", strings.Repeat("x", 5000), "end"},
		"far too long":     append([]string{"self"}, strings.Split(strings.Repeat("word ", 20000), " ")...),
		"cut in a rune":    {"self", strings.Repeat("é", 2100)},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.helper("truth")
			c.Args = argv
			said, r := s.tell(t, c)
			equal(t, "what the child has", said.args(), strings.Join(argv, "\x00"))
			equal(t, "args_truncated", r.GetExec().ArgsTruncated, len(said.Cmdline) > 4096)
			if r.GetExec().ArgsTruncated {
				said.Cmdline = said.Cmdline[:4096]
			}
			equal(t, "number of args", len(r.GetExec().Args), strings.Count(said.args(), "\x00")+1)
			said.check(t, r)
			s.keep(t, "exec", r)
		})
	}
	t.Run("none", func(t *testing.T) { testNoArgv(t, s) })
}

// testNoArgv: since 5.18 the kernel gives a program without arguments an empty one.
func testNoArgv(t *testing.T, s *scene) {
	c := s.helper("truth")
	c.Args = []string{}
	said, r := s.tell(t, c)
	said.check(t, r)
	if n := len(r.GetExec().Args); n > 1 {
		t.Errorf("%d args", n)
	}
}

func testImage(t *testing.T, s *scene) {
	copies := filepath.Join(s.dir, "image")
	must(t, os.MkdirAll(copies, 0o755))
	t.Run("memfd", func(t *testing.T) {
		said, r := s.tell(t, s.helper("fexec", s.self, "memfd"))
		said.check(t, r)
		equal(t, "path", r.GetExec().File.Path, "/memfd:skep test")
		equal(t, "memfd", r.GetExec().Memfd, true)
		s.keep(t, "exec", r)
	})
	t.Run("unlinked", func(t *testing.T) {
		program := filepath.Join(copies, "unlinked")
		copyFile(t, s.self, program)
		said, r := s.tell(t, s.helper("fexec", program, "unlinked"))
		said.check(t, r)
		equal(t, "path", r.GetExec().File.Path, program)
		equal(t, "memfd", r.GetExec().Memfd, false)
		r.GetExec().File.Inode = 0
		s.keep(t, "exec", r)
	})
	t.Run("name like a memfd", func(t *testing.T) {
		program := "/memfd:skep" // root's own directory: only its name is like one
		link := os.Link(s.self, program)
		if link != nil { // another filesystem
			copyFile(t, s.self, program)
		}
		defer os.Remove(program)
		said, r := s.tell(t, s.helper("fexec", program, "unlinked"))
		said.check(t, r)
		equal(t, "memfd", r.GetExec().Memfd, false)
	})
	t.Run("name like an unlinked", func(t *testing.T) {
		program := filepath.Join(copies, "self (deleted)")
		must(t, os.Link(s.self, program))
		defer os.Remove(program)
		c := s.helper("truth")
		c.Path = program
		_, r := s.tell(t, c)
		equal(t, "path", r.GetExec().File.Path, program)
		equal(t, "unlinked", r.GetExec().Unlinked, false)
	})
}

func testPaths(t *testing.T, s *scene) {
	for name, make := range map[string]func(*testing.T, *scene, string) *exec.Cmd{
		"cwd": inDirectory, "relative": relative, "symlink": symlink, "bind mount": bindMount,
		"bound file": boundFile, "chroot": inChroot, "overlay": inOverlay, "58 deep": deep(58), "70 deep": deep(70),
		"long": longPath, "long directory": longDirectory, "not UTF-8": oddName,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(s.dir, "paths", name)
			must(t, os.MkdirAll(dir, 0o755))
			t.Cleanup(func() { os.RemoveAll(dir) })
			c := make(t, s, dir)
			said, r := s.tell(t, c)
			e := r.GetExec()
			if e.File.PathTruncated {
				if !strings.HasSuffix(said.Exe, "/"+e.File.Path) || strings.HasPrefix(e.File.Path, "/") {
					t.Errorf("path %q is not the end of %q", e.File.Path, said.Exe)
				}
				said.Exe = e.File.Path
			}
			if e.CwdTruncated {
				if !strings.HasSuffix(said.Cwd, "/"+e.Cwd) || strings.HasPrefix(e.Cwd, "/") {
					t.Errorf("directory %q is not the end of %q", e.Cwd, said.Cwd)
				}
				said.Cwd = e.Cwd
			}
			equal(t, "directory truncated", e.CwdTruncated, name == "long directory")
			equal(t, "truncated", e.File.PathTruncated, name == "70 deep" || name == "long")
			said.Exe, said.Cwd = strings.ToValidUTF8(said.Exe, "\uFFFD"), strings.ToValidUTF8(said.Cwd, "\uFFFD")
			said.check(t, r)
			e.File.Inode, e.File.Device = 0, "" // of files made anew for each rung
			s.keep(t, "exec", r)
		})
	}
}

func inDirectory(t *testing.T, s *scene, dir string) *exec.Cmd {
	c := s.helper("truth")
	c.Dir = dir
	return c
}

func relative(t *testing.T, s *scene, dir string) *exec.Cmd {
	c := s.helper("truth")
	c.Dir, c.Path = dir, "../../self"
	return c
}

func symlink(t *testing.T, s *scene, dir string) *exec.Cmd {
	c := s.helper("truth")
	c.Path = filepath.Join(dir, "link")
	must(t, os.Symlink(s.self, c.Path))
	return c
}

func bindMount(t *testing.T, s *scene, dir string) *exec.Cmd {
	c := s.helper("truth")
	mount(t, s.dir, dir)
	c.Path, c.Dir = filepath.Join(dir, "self"), dir
	return c
}

func boundFile(t *testing.T, s *scene, dir string) *exec.Cmd {
	c := s.helper("truth")
	c.Path = filepath.Join(dir, "bound")
	must(t, os.WriteFile(c.Path, nil, 0o600))
	mount(t, s.self, c.Path)
	return c
}

func mount(t *testing.T, from, to string) {
	t.Helper()
	must(t, unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""))
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

func inChroot(t *testing.T, s *scene, dir string) *exec.Cmd {
	must(t, os.Mkdir(filepath.Join(dir, "proc"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "inner"), 0o755))
	mount(t, "/proc", filepath.Join(dir, "proc"))
	for _, libraries := range []string{"lib", "lib64", "usr"} { // in case this test is not static
		if _, err := os.Stat("/" + libraries); err == nil {
			must(t, os.Mkdir(filepath.Join(dir, libraries), 0o755))
			mount(t, "/"+libraries, filepath.Join(dir, libraries))
		}
	}
	must(t, os.Link(s.self, filepath.Join(dir, "inner/self")))
	c := s.helper("truth")
	c.Path, c.Dir = "/inner/self", "/inner"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
	return c
}

func inOverlay(t *testing.T, s *scene, dir string) *exec.Cmd {
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	must(t, os.Link(s.self, filepath.Join(dir, "lower/program")))
	merged := filepath.Join(dir, "merged")
	err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work")
	if err == unix.ENODEV {
		t.Skip("needs overlayfs, which this kernel does not have (loaded)")
	}
	must(t, err)
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	c := s.helper("truth")
	c.Path = filepath.Join(merged, "program")
	return c
}

func deep(n int) func(*testing.T, *scene, string) *exec.Cmd {
	return func(t *testing.T, s *scene, dir string) *exec.Cmd {
		have := strings.Count(dir, "/")
		dir += strings.Repeat("/d", n-have-1)
		must(t, os.MkdirAll(dir, 0o755))
		c := s.helper("truth")
		c.Path = dir + "/self"
		must(t, os.Link(s.self, c.Path))
		return c
	}
}

// longPath has few components and more bytes than are recorded.
func longPath(t *testing.T, s *scene, dir string) *exec.Cmd {
	dir += strings.Repeat("/"+strings.Repeat("l", 255), 10)
	must(t, os.MkdirAll(dir, 0o755))
	c := s.helper("truth")
	c.Path = dir + "/self"
	must(t, os.Link(s.self, c.Path))
	return c
}

func longDirectory(t *testing.T, s *scene, dir string) *exec.Cmd {
	dir += strings.Repeat("/"+strings.Repeat("l", 255), 10)
	must(t, os.MkdirAll(dir, 0o755))
	c := s.helper("truth")
	c.Dir = dir
	return c
}

func oddName(t *testing.T, s *scene, dir string) *exec.Cmd {
	dir += "/\xff\n\x1b[2J"
	must(t, os.MkdirAll(dir, 0o755))
	c := s.helper("truth")
	c.Path, c.Dir = dir+"/pr\xf0gram", dir
	must(t, os.Link(s.self, c.Path))
	return c
}

func testScript(t *testing.T, s *scene) {
	script := filepath.Join(s.dir, "script")
	must(t, os.WriteFile(script, []byte("#!"+s.self+" one two\n"), 0o755))
	c := s.helper("truth")
	c.Path, c.Args = script, []string{"zero", "three"}
	said, r := s.tell(t, c)
	said.check(t, r)
	e := r.GetExec()
	equal(t, "script", e.Script, script)
	equal(t, "filename", e.Filename, script)
	equal(t, "args", strings.Join(e.Args, "|"), s.self+"|one two|"+script+"|three")
	if e.File.Path != "" || !confidential { // check tells of the rest
		equal(t, "interpreter", e.File.Path, s.self)
	}
	s.keep(t, "exec", r)
	t.Run("env", func(t *testing.T) { testEnvScript(t, s) })
	t.Run("none", func(t *testing.T) {
		_, r := s.tell(t, s.helper("truth"))
		equal(t, "script", r.GetExec().Script, "")
		equal(t, "filename", r.GetExec().Filename, s.self)
	})
}

// testEnvScript: the script's interpreter is env, which then runs the program.
func testEnvScript(t *testing.T, s *scene) {
	if _, err := os.Stat("/usr/bin/env"); err != nil {
		t.Skip("needs /usr/bin/env: ", err)
	}
	script := filepath.Join(s.dir, "env script")
	must(t, os.WriteFile(script, []byte("#!/usr/bin/env self\n"), 0o755))
	c := s.helper("truth")
	c.Path, c.Env = script, append(c.Env, "PATH="+s.dir)
	said, r := s.tell(t, c)
	said.check(t, r)
	execs := s.execs(t, c.Process.Pid)
	if len(execs) != 2 || execs[0].GetExec().Script != script || execs[1].GetExec().Script != "" {
		t.Fatalf("%d execs: %v", len(execs), execs)
	}
	equal(t, "process_id of both", execs[0].Process.ProcessId, execs[1].Process.ProcessId)
	if execs[0].Process.ExecId == execs[1].Process.ExecId {
		t.Errorf("both execs have exec_id %s", execs[0].Process.ExecId)
	}
}

func testFailedExec(t *testing.T, s *scene) {
	plain := filepath.Join(s.dir, "plain")
	must(t, os.WriteFile(plain, []byte("no program"), 0o755))
	c := s.helper("fail", "/does/not/exist", s.dir, plain)
	start := time.Now()
	must(t, c.Run())
	s.stream.Sync(t)
	for _, r := range s.stream.Of("exec", c.Process.Pid) {
		if r.GetExec().File.Path != s.self && r.Time.AsTime().After(start) {
			t.Errorf("a failed exec was recorded: %v", r)
		}
	}
	equal(t, "execs", len(s.execs(t, c.Process.Pid)), 1)
}
