// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These read a file past the page cache: what they read is what /proc/self/io counts as
// read from the disk.
var diskTrials = []trial{
	{name: "biosnoop", prepare: layOut, generate: readDirect, check: func(t *testing.T, o *outcome) {
		bytes := int64(0)
		for _, r := range o.records {
			is(t, "pid", r.number("pid"), int64(o.pid))
			within(t, "latency", r.number("latency"), 1, o.took.Microseconds())
			if strings.Contains(r.text("kind"), "R") { // or the filesystem's own, such as a discard
				bytes += r.number("size")
			}
		}
		readAsKnown(t, o, bytes)
		within(t, "requests", int64(len(o.records)), directReads, o.Numbers["bytes"]/4096)
	}},
	{name: "biolatency", prepare: layOut, generate: readDirect, check: func(t *testing.T, o *outcome) {
		within(t, "requests", o.counted("@us", nil, nil), directReads, o.Numbers["bytes"]/4096)
		within(t, "possible latencies", o.counted("@us", nil, func(least, _ int64) bool { return least <= o.took.Microseconds() }), o.counted("@us", nil, nil), 1<<40)
	}},
	{name: "biotop", prepare: layOut, generate: readDirect, check: func(t *testing.T, o *outcome) {
		readAsKnown(t, o, o.sum("@bytes", func(r row) bool { return r.number("pid") == int64(o.pid) }))
	}},
	{name: "bitesize", prepare: layOut, generate: readDirect, check: func(t *testing.T, o *outcome) {
		is(t, "requests of 4 KiB", o.counted("@size", nil, func(least, _ int64) bool { return least == 4096 }), 12)
		within(t, "larger requests", o.counted("@size", nil, func(least, _ int64) bool { return least > 4096 }), 8, 8*16)
	}},
	{name: "cachestat", prepare: layOut, generate: func(g *generator) {
		fd := open(g, unix.O_RDWR)
		g.check(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
		g.check(unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM))
		for page := range int64(20) {
			_, err := unix.Pread(fd, make([]byte, 100), page*2*4096)
			g.check(err)
		}
		g.Numbers["resident"] = resident(g, fd)
		for page := range int64(5) {
			_, err := unix.Pwrite(fd, []byte{1}, page*2*4096)
			g.check(err)
		}
		g.check(unix.Fsync(fd))
		g.check(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
		g.Numbers["left"] = resident(g, fd)
	}, check: func(t *testing.T, o *outcome) {
		sum := func(column string) (n int64) {
			for _, r := range o.records {
				n += r.number(column)
			}
			return n
		}
		is(t, "misses", sum("misses"), o.Numbers["resident"])
		within(t, "evictions", sum("evictions"), o.Numbers["resident"]-o.Numbers["left"], o.Numbers["resident"]+fileSize/4096)
		within(t, "pages made dirty", sum("dirtied"), 5, 20)
	}},
	{name: "cachestat steady", prepare: layOut, generate: func(g *generator) {
		fd := open(g, unix.O_RDWR)
		g.check(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
		g.check(unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM))
		for page := range int64(fileSize / 4096) { // over several lines of the tool
			_, err := unix.Pread(fd, make([]byte, 100), page*4096)
			g.check(err)
			unix.Nanosleep(&unix.Timespec{Nsec: 3e6}, nil)
		}
		g.Numbers["resident"] = resident(g, fd)
	}, check: func(t *testing.T, o *outcome) {
		misses := int64(0)
		for _, r := range o.records {
			misses += r.number("misses")
		}
		within(t, "pages that are there", o.Numbers["resident"], fileSize/4096*9/10, fileSize/4096) // the host may need some
		within(t, "misses", misses, fileSize/4096, fileSize/4096+8)
		within(t, "lines", int64(len(o.records)), 3, 1000)
	}},
}

const (
	fileSize    = 4 << 20
	directReads = 12 + 8 // of 4 KiB, and of 64 KiB
)

// layOut writes a file in one piece, as far as the filesystem does so.
func layOut(g *generator) {
	f, err := os.Create(g.Dir + "/file")
	g.check(err)
	defer f.Close()
	g.check(unix.Fallocate(int(f.Fd()), 0, 0, fileSize))
	_, err = f.Write(make([]byte, fileSize))
	g.check(err)
	g.check(f.Sync())
}

func open(g *generator, flags int) int {
	fd, err := unix.Open(g.Dir+"/file", flags|unix.O_CLOEXEC, 0)
	g.check(err)
	return fd
}

func readDirect(g *generator) {
	fd := open(g, unix.O_RDONLY|unix.O_DIRECT)
	buffer, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
	g.check(err)
	before := readBytes(g)
	for i := range int64(12) {
		_, err := unix.Pread(fd, buffer[:4096], i*8192)
		g.check(err)
		g.Numbers["bytes"] += 4096
	}
	for i := range int64(8) {
		_, err := unix.Pread(fd, buffer, 1<<20+i*128<<10)
		g.check(err)
		g.Numbers["bytes"] += 64 << 10
	}
	g.Numbers["counted"] = readBytes(g) - before
}

func readAsKnown(t *testing.T, o *outcome, bytes int64) {
	t.Helper()
	is(t, "what /proc/self/io counts", o.Numbers["counted"], o.Numbers["bytes"])
	is(t, "bytes", bytes, o.Numbers["bytes"])
}

// readBytes is what this process has read from disks.
func readBytes(g *generator) int64 {
	text, err := os.ReadFile("/proc/self/io")
	g.check(err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "read_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			g.check(err)
			return n
		}
	}
	panic("no read_bytes")
}

// resident are the file's pages in the page cache.
func resident(g *generator, fd int) (n int64) {
	memory, err := unix.Mmap(fd, 0, fileSize, unix.PROT_READ, unix.MAP_SHARED)
	g.check(err)
	defer unix.Munmap(memory)
	pages := make([]byte, fileSize/4096)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), fileSize, uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		panic(errno)
	}
	for _, page := range pages {
		n += int64(page & 1)
	}
	return n
}
