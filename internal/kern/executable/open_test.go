// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("SKEP_TEST_WAITS") != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// rooted starts a process that waits in a root directory of its own, and returns its number.
func rooted(t *testing.T, root string) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes the root directory")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/self", self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/self")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	return waits(t, cmd)
}

// waits starts a copy of this program, which waits until the test ends, and returns its number.
func waits(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	cmd.Env = []string{"SKEP_TEST_WAITS=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd.Process.Pid
}

// soon fails the test if a call does not end: one that waits for a pipe's other end never does.
func soon(t *testing.T, what string, call func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { call(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// TestOtherRoot: links inside a process's root directory lead inside that root, wherever they
// point, and nothing in there makes the reader wait or read without end.
func TestOtherRoot(t *testing.T) {
	root := t.TempDir()
	libc := libc(t)
	library, err := os.ReadFile(libc)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(root+"/usr/lib", 0o755), os.Mkdir(root+"/etc", 0o755), os.Mkdir(root+"/dev", 0o755),
		os.WriteFile(root+"/usr/lib/real.so", library, 0o755),
		os.Symlink("/usr/lib", root+"/lib"),
		os.Symlink("/usr/lib/real.so", root+"/usr/lib/liblink.so"),
		os.Symlink("../../../../../../../../../..", root+"/usr/lib/up"),
		os.Symlink(libc, root+"/usr/lib/libout.so"),
		os.Symlink("/lib/loop", root+"/usr/lib/loop"),
		unix.Mknod(root+"/dev/zero", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))),
		os.Symlink("/dev/zero", root+"/etc/ld.so.conf"),
		unix.Mkfifo(root+"/usr/lib/libpipe.so", 0o666)); err != nil {
		t.Fatal(err)
	}
	pid := rooted(t, root)
	inside := fmt.Sprintf("/proc/%d/root", pid)
	var want unix.Stat_t
	if err := unix.Stat(root+"/usr/lib/real.so", &want); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/lib/real.so", "/lib/real.so", "/lib/liblink.so", "/lib/up/usr/lib/real.so"} {
		pinned, id, err := Pin(inside + path)
		if err != nil || id.Inode != want.Ino {
			t.Errorf("%s: inode %d, want %d: %v", path, id.Inode, want.Ino, err)
			continue
		}
		pinned.Close()
	}
	for _, path := range []string{"/lib/libout.so", "/lib/loop", "/lib/up/../../.." + libc} {
		if _, _, err := Pin(inside + path); err == nil {
			t.Errorf("%s leads out of the root", path)
		}
	}
	soon(t, "opening a pipe", func() {
		if _, err := Open(inside + "/lib/libpipe.so"); err == nil {
			t.Error("opened a pipe")
		}
		if _, err := Find("pipe", pid); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("found a pipe: %v", err)
		}
	})
	if got, err := Find("link", pid); err != nil || filepath.Base(got) != "liblink.so" {
		t.Errorf("found %s: %v", got, err)
	}
}

// TestReplaced: a file that has come in the place of another is not taken for it.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string) {
		if err := os.WriteFile(name, self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(path)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	same, err := PinSame(path, f.Identity)
	if err != nil {
		t.Fatal(err)
	}
	defer same.Close()
	write(path + ".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, err := PinSame(path, f.Identity); !errors.Is(err, ErrReplaced) {
		t.Errorf("took another file for the same: %v", err)
	}
	if kept, err := Open(PathOf(same)); err != nil || kept.Identity.Inode != f.Identity.Inode {
		t.Errorf("what was held is %+v: %v", kept, err)
	}
}

// copyOfSelf is a file of its own with this test in it, and what it holds.
func copyOfSelf(t *testing.T) (path string, text []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "program")
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, text
}

// TestChanged: nor is one whose owner has changed it and set its times back.
func TestChanged(t *testing.T) {
	path, self := copyOfSelf(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; { // the kernel's clock for this may have ticks
		self[len(self)-1] ^= 1
		if err := errors.Join(os.WriteFile(path, self, 0o755), os.Chtimes(path, time.Time{}, info.ModTime())); err != nil {
			t.Fatal(err)
		}
		if _, err := PinSame(path, f.Identity); errors.Is(err, ErrReplaced) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("took a changed file for the same")
		}
	}
}

// TestDeleted: by its path a file that a process has mapped is that one, whatever is there now.
func TestDeleted(t *testing.T) {
	path, _ := copyOfSelf(t)
	pid := waits(t, exec.Command(path))
	_, want, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".new", []byte("new"), 0o755), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	if paths := Mapped(pid); !slices.Contains(paths, path) {
		t.Fatalf("mapped are %q, not %s", paths, path)
	}
	found, err := Find(path, pid)
	if err != nil {
		t.Fatal(err)
	}
	if _, id, err := Pin(found); err != nil || id.Inode != want.Inode {
		t.Fatalf("%s: inode %d, want %d: %v", found, id.Inode, want.Inode, err)
	}
}

// hostile makes an ELF file: sections behind the header, and anything behind them.
func hostile(sections []elf.Section64, number, names uint16, rest ...[]byte) []byte {
	header := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shoff: 64, Shentsize: 64, Shnum: number, Shstrndx: names}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, header)
	_ = binary.Write(&b, binary.LittleEndian, sections)
	for _, part := range rest {
		b.Write(part)
	}
	return b.Bytes()
}

// TestHostileFiles: what a file says of its size costs no memory and no time beyond bounds.
func TestHostileFiles(t *testing.T) {
	const huge = 1 << 40
	names := elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: 64 + 4*64, Size: 8}
	// A table of many symbols, all with the same name of sixteen megabytes.
	entry := make([]byte, 24)
	entry[0], entry[4], entry[6], entry[8] = 1, byte(elf.STT_FUNC), 1, 1
	table := bytes.Repeat(entry, 1<<17)
	text := append([]byte{0}, bytes.Repeat([]byte{'a'}, 16<<20)...)
	begin := uint64(64 + 4*64 + 8)
	for name, content := range map[string][]byte{
		"so many sections":    hostile([]elf.Section64{{Size: 1 << 30}, names}, 0, 1, make([]byte, 1<<10)),
		"so many symbols":     hostile([]elf.Section64{{}, names, {Type: uint32(elf.SHT_SYMTAB), Off: 512, Size: huge, Link: 1, Entsize: 24}, {}}, 4, 1, make([]byte, 8)),
		"names of a terabyte": hostile([]elf.Section64{{}, names, {Type: uint32(elf.SHT_SYMTAB), Off: begin, Size: 24, Link: 3, Entsize: 24}, {Type: uint32(elf.SHT_STRTAB), Off: 512, Size: huge}}, 4, 1, make([]byte, 8)),
		"a name for all":      hostile([]elf.Section64{{}, names, {Type: uint32(elf.SHT_SYMTAB), Off: begin, Size: uint64(len(table)), Link: 3, Entsize: 24}, {Type: uint32(elf.SHT_STRTAB), Off: begin + uint64(len(table)), Size: uint64(len(text))}}, 4, 1, make([]byte, 8), table, text),
		"names in no section": hostile([]elf.Section64{{}, names, {Type: uint32(elf.SHT_SYMTAB), Off: begin, Size: 24, Link: 77, Entsize: 24}, {}}, 4, 1, make([]byte, 8)),
		"compressed symbols":  hostile([]elf.Section64{{}, names, {Type: uint32(elf.SHT_SYMTAB), Flags: uint64(elf.SHF_COMPRESSED), Off: begin, Size: 24, Link: 1, Entsize: 24}, {}}, 4, 1, make([]byte, 64)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hostile")
			if err := errors.Join(os.WriteFile(path, content, 0o755), os.Truncate(path, 2*huge)); err != nil {
				t.Skipf("needs a filesystem with files of two terabytes: %v", err)
			}
			soon(t, "reading it", func() {
				if f, err := Open(path); err == nil && len(f.symbols) > 0 {
					t.Errorf("took %d symbols of it", len(f.symbols))
				}
			})
		})
	}
}

// TestCacheIsBoundedInBytes: files of few symbols may keep much: all the text that their names
// are parts of.
func TestCacheIsBoundedInBytes(t *testing.T) {
	var c Cache
	entry := make([]byte, 24)
	entry[0], entry[4], entry[6], entry[8] = 1, byte(elf.STT_FUNC), 1, 1
	const many = cacheBytes / 4
	begin := uint64(64 + 4*64 + 8)
	sections := []elf.Section64{{}, {Type: uint32(elf.SHT_STRTAB), Off: 64 + 4*64, Size: 8},
		{Type: uint32(elf.SHT_SYMTAB), Off: begin, Size: 24, Link: 3, Entsize: 24}, {Type: uint32(elf.SHT_STRTAB), Off: begin + 24, Size: many}}
	content := hostile(sections, 4, 1, make([]byte, 8), entry, []byte("\x00name\x00"))
	for i := range 8 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := errors.Join(os.WriteFile(path, content, 0o755), os.Truncate(path, int64(begin)+24+many)); err != nil {
			t.Fatal(err)
		}
		if f, err := c.Open(path); err != nil || len(f.symbols) != 1 {
			t.Fatalf("%v, %v", f, err)
		}
	}
	sum := 0
	for _, e := range c.entries {
		sum += e.file.names
	}
	if sum > cacheBytes || sum == 0 {
		t.Errorf("%d bytes of names of %d files are kept; %d may be", sum, len(c.entries), cacheBytes)
	}
}
