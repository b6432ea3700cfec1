// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var fileTrials = []trial{
	{name: "opensnoop", generate: openFiles, check: checkOpened},
	{name: "opensnoop comm", all: true, flags: []string{"--comm", "skep-opener", "--uid", "0"}, generate: openNamed, check: checkOpened},
	{name: "opensnoop nobody", flags: []string{"--comm", "skep-other"}, generate: openNamed, check: func(t *testing.T, o *outcome) {
		is(t, "records of another name", int64(len(o.records)), 0)
	}},
	{name: "opensnoop uid", flags: []string{"--uid", "4242"}, generate: openNamed, check: func(t *testing.T, o *outcome) {
		is(t, "records of another user", int64(len(o.records)), 0)
	}},
	{name: "statsnoop", generate: func(g *generator) {
		for i := range 9 {
			var st unix.Stat_t
			path := fmt.Sprintf("%s/file-%d", g.Dir, i)
			if i%3 == 0 {
				g.check(os.WriteFile(path, nil, 0o600))
			}
			err := unix.Stat(path, &st)
			g.Texts["stat"] = append(g.Texts["stat"], path+" "+name(err))
		}
	}, check: func(t *testing.T, o *outcome) {
		same(t, "stat", texts(o.where(in(o, "path")), "path", "errno_name"), o.Texts["stat"])
	}},
	{name: "syncsnoop", generate: func(g *generator) {
		f, err := os.Create(g.Dir + "/file")
		g.check(err)
		fd := int(f.Fd())
		for range 3 {
			g.check(unix.Fsync(fd))
		}
		for range 4 {
			g.check(unix.Fdatasync(fd))
		}
		g.check(unix.Syncfs(fd))
		g.check(unix.SyncFileRange(fd, 0, 0, 0))
	}, check: func(t *testing.T, o *outcome) {
		same(t, "calls", texts(o.records, "call"), strings.Fields("fsync fsync fsync fdatasync fdatasync fdatasync fdatasync syncfs sync_file_range"))
	}},
	{name: "filelife", generate: func(g *generator) {
		for i := range 6 {
			path := fmt.Sprintf("%s/file-%d", g.Dir, i)
			g.check(os.WriteFile(path, nil, 0o600))
			time.Sleep(20 * time.Millisecond)
			if i != 5 { // one stays
				g.check(unix.Unlink(path))
				g.Texts["gone"] = append(g.Texts["gone"], path)
			}
		}
		unix.Unlink(g.Dir + "/none")
	}, check: func(t *testing.T, o *outcome) {
		same(t, "files", texts(o.records, "path"), o.Texts["gone"])
		for _, r := range o.records {
			within(t, "age", r.number("age"), 20, o.took.Milliseconds()+1)
		}
	}},
	{name: "fileslower", args: []string{"30000"}, generate: slowReads, check: func(t *testing.T, o *outcome) {
		same(t, "reads", texts(o.where(func(r row) bool { return r.text("file") == "slow-fifo" }), "file", "call", "size"),
			[]string{"slow-fifo read 5", "slow-fifo read 6", "slow-fifo read 7"})
		for _, r := range o.records {
			within(t, "latency", r.number("latency"), 30_000, o.took.Microseconds()+1)
		}
	}},
	{name: "filetop", generate: func(g *generator) {
		for i, name := range []string{"one", "two"} {
			f, err := os.Create(filepath.Join(g.Dir, "skep-"+name))
			g.check(err)
			for range 5 {
				_, err := f.Write(make([]byte, 1000*(i+1)))
				g.check(err)
			}
			_, err = f.Seek(0, 0)
			g.check(err)
			n, err := unix.Read(int(f.Fd()), make([]byte, 3333))
			g.check(err)
			is := int64(n)
			g.Numbers["read "+name] = is
		}
	}, check: func(t *testing.T, o *outcome) {
		for i, name := range []string{"one", "two"} {
			of := func(r row) bool { return r.text("file") == "skep-"+name && r.number("pid") == int64(o.pid) }
			is(t, "written to "+name, o.sum("@written", of), int64(5000*(i+1)))
			is(t, "read from "+name, o.sum("@read", of), o.Numbers["read "+name])
		}
	}},
}

// name is that of an error number, as JSON has it: null for none.
func name(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		return unix.ErrnoName(errno)
	}
	return "<nil>"
}

// in matches records whose column is a path in the generator's directory.
func in(o *outcome, column string) func(row) bool {
	return func(r row) bool { return strings.HasPrefix(r.text(column), o.Dir+"/") }
}

func openFiles(g *generator) {
	for i := range 37 {
		path := fmt.Sprintf("%s/file-%d", g.Dir, i)
		flags := unix.O_CREAT | unix.O_RDWR | unix.O_CLOEXEC
		if i%5 == 0 {
			flags = unix.O_RDONLY | unix.O_CLOEXEC
		}
		fd, err := unix.Open(path, flags, 0o600)
		g.Texts["opened"] = append(g.Texts["opened"], fmt.Sprintf("%s %d %s", path, fd, name(err)))
		g.Numbers["uid"] = int64(os.Getuid())
	}
}

func openNamed(g *generator) { named("skep-opener", func() { openFiles(g) }) }

func checkOpened(t *testing.T, o *outcome) {
	is(t, "what the generator knows", int64(len(o.Texts["opened"])), 37)
	found := o.where(in(o, "path"))
	same(t, "opened", texts(found, "path", "fd", "errno_name"), o.Texts["opened"])
	for _, r := range found {
		is(t, "pid", r.number("pid"), int64(o.pid))
		is(t, "uid", r.number("uid"), 0)
	}
}

// slowReads waits for what a FIFO brings.
func slowReads(g *generator) {
	path := filepath.Join(g.Dir, "slow-fifo")
	g.check(unix.Mkfifo(path, 0o600))
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	g.check(err)
	for i := range 3 {
		go func() {
			time.Sleep(60 * time.Millisecond)
			unix.Write(fd, make([]byte, 5+i))
		}()
		_, err := unix.Read(fd, make([]byte, 100))
		g.check(err)
	}
}
