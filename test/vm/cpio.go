// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// File types of a cpio entry, as in stat(2).
const (
	cpioDir     = 0o040000
	cpioFile    = 0o100000
	cpioSymlink = 0o120000
	cpioCharDev = 0o020000
)

// cpioWriter writes the "newc" format that the kernel unpacks as its initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst). Missing parent directories are added.
// The first error is kept and returned by close.
type cpioWriter struct {
	w    io.Writer
	seen map[string]bool
	ino  int
	err  error
}

func newCPIO(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, seen: map[string]bool{"": true}}
}

// header starts an entry; rdev is only for devices.
func (c *cpioWriter) header(name string, mode uint32, size int64, rdev [2]int) {
	c.ino++
	links := 1
	if mode&0o170000 == cpioDir {
		links = 2
	}
	var b bytes.Buffer
	b.WriteString("070701")
	for _, field := range []int64{
		int64(c.ino), int64(mode), 0, 0, int64(links), 0, size, 0, 0, int64(rdev[0]), int64(rdev[1]), int64(len(name) + 1), 0,
	} {
		fmt.Fprintf(&b, "%08X", field)
	}
	b.WriteString(name + "\x00")
	c.padded(&b, int64(b.Len()))
}

// padded copies size bytes and zeroes up to the next multiple of four.
func (c *cpioWriter) padded(r io.Reader, size int64) {
	if c.err != nil {
		return
	}
	if _, c.err = io.CopyN(c.w, r, size); c.err != nil {
		return
	}
	_, c.err = c.w.Write(make([]byte, -size&3))
}

// clean turns a guest path into an entry's name, and adds the directories above it.
func (c *cpioWriter) clean(guest string) string {
	name := strings.TrimPrefix(path.Clean("/"+guest), "/")
	if parent := path.Dir(name); parent != "." {
		c.dir(parent)
	}
	return name
}

func (c *cpioWriter) dir(guest string) {
	name := c.clean(guest)
	if c.seen[name] {
		return
	}
	c.seen[name] = true
	c.header(name, cpioDir|0o755, 0, [2]int{})
}

func (c *cpioWriter) symlink(guest, target string) {
	name := c.clean(guest)
	c.header(name, cpioSymlink|0o777, int64(len(target)), [2]int{})
	c.padded(strings.NewReader(target), int64(len(target)))
}

func (c *cpioWriter) charDev(guest string, major, minor int) {
	name := c.clean(guest)
	c.header(name, cpioCharDev|0o600, 0, [2]int{major, minor})
}

func (c *cpioWriter) data(guest string, mode os.FileMode, text string) {
	name := c.clean(guest)
	c.header(name, cpioFile|uint32(mode.Perm()), int64(len(text)), [2]int{})
	c.padded(strings.NewReader(text), int64(len(text)))
}

// file copies a host file with its permissions, setuid and setgid bits included; its owner becomes root.
func (c *cpioWriter) file(guest, host string) {
	if c.err != nil {
		return
	}
	f, err := os.Open(host)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		c.err = fmt.Errorf("add %s: not a regular file (%v)", host, err)
		return
	}
	name := c.clean(guest)
	c.header(name, cpioFile|unixMode(info.Mode()), info.Size(), [2]int{})
	c.padded(f, info.Size())
}

func unixMode(m os.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&os.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if m&os.ModeSetgid != 0 {
		mode |= 0o2000
	}
	return mode
}

// close writes the trailer.
func (c *cpioWriter) close() error {
	c.header("TRAILER!!!", 0, 0, [2]int{})
	return c.err
}
