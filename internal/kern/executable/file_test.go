// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestOwnSymbols: what the file says of this test's functions is what the Go runtime says.
func TestOwnSymbols(t *testing.T) {
	f, err := Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.symbols) == 0 {
		t.Skip("needs symbols: this test was linked without")
	}
	program := reflect.ValueOf(TestOwnSymbols).Pointer()
	symbol, ok := f.Symbol(runtime.FuncForPC(program).Name())
	if !ok || f.fixed && symbol.Address != uint64(program) {
		t.Fatalf("symbol %+v, in memory at %#x", symbol, program)
	}
	if at, offset, ok := f.At(symbol.Address + 3); !ok || at.Name != symbol.Name || offset != 3 {
		t.Errorf("at its address + 3 is %+v + %d", at, offset)
	}
	if _, ok := f.Symbol("no.such.function"); ok {
		t.Error("found what is not there")
	}
	// The bytes in the file are those in memory.
	offset, ok := f.Offset(symbol.Address)
	if !ok {
		t.Fatal("no offset")
	}
	if back, ok := f.Address(offset); !ok || back != symbol.Address {
		t.Errorf("offset %#x is at %#x", offset, back)
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	var want, got [16]byte
	_, errFile := exe.ReadAt(want[:], int64(offset))
	_, errMemory := memory.ReadAt(got[:], int64(program))
	if errors.Join(errFile, errMemory) != nil || want != got {
		t.Errorf("in the file %x, in memory %x: %v %v", want, got, errFile, errMemory)
	}
}

func libc(t *testing.T) string {
	path, err := Find("libc", 0)
	if err != nil {
		t.Skipf("needs a libc: %v", err)
	}
	return path
}

// TestNm: a stripped library's functions are those that nm lists.
func TestNm(t *testing.T) {
	path := libc(t)
	out, err := exec.Command("nm", "-D", "--defined-only", path).Output()
	if err != nil {
		t.Skipf("needs nm: %v", err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		parts := strings.Fields(line)
		if len(parts) != 3 || parts[1] != "T" {
			continue
		}
		name, _, _ := strings.Cut(parts[2], "@")
		want, _ := strconv.ParseUint(parts[0], 16, 64)
		n++
		if s, ok := f.Symbol(name); !ok || s.Address != want && strings.Count(string(out), " "+name+"@") == 1 {
			t.Errorf("%s: %+v, nm says %#x", name, s, want)
		}
	}
	if n < 1000 {
		t.Errorf("nm lists %d functions", n)
	}
}

func TestFind(t *testing.T) {
	path := libc(t)
	for _, name := range []string{"libc", "c", "libc.so.6", path} {
		if got, err := Find(name, 0); err != nil || got != path {
			t.Errorf("%s: %q, %v; want %q", name, got, err, path)
		}
	}
	if got, err := Find("sh", 0); err != nil || filepath.Base(got) != "sh" {
		t.Errorf("sh: %q, %v", got, err)
	}
	if got, err := Find("sh", os.Getpid()); err != nil || !strings.HasPrefix(got, fmt.Sprintf("/proc/%d/root/", os.Getpid())) {
		t.Errorf("sh of this process: %q, %v", got, err)
	}
	for _, name := range []string{"no-such-program", "/no/such/file", "lib"} {
		if got, err := Find(name, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]bool{"libc.so.6": true, "libc-2.31.so": true, "libcrypt.so.1": false, "libc": true, "libc.a": false} {
		if matches(name, "libc") != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

func TestCache(t *testing.T) {
	var c Cache
	first, err := c.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Open("/proc/self/exe"); err != nil || again != first {
		t.Errorf("read twice: %v", err)
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("no ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path, filepath.Dir(path), "/dev/null", path + "none"} {
		if _, err := c.Open(bad); err == nil {
			t.Errorf("opened %s", bad)
		}
	}
	oldest, _ := c.oldest(Identity{})
	c.drop(oldest)
	if c.bytes != 0 || len(c.entries) != 0 {
		t.Errorf("%d bytes of %d files after all are dropped", c.bytes, len(c.entries))
	}
	c.timer.Stop()
}

// note is one as the assembler writes it.
func note(name string, kind uint32, text []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(name)+1))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	out = binary.LittleEndian.AppendUint32(out, kind)
	for _, part := range [][]byte{append([]byte(name), 0), text} {
		out = append(out, part...)
		out = append(out, make([]byte, -len(part)&3)...)
	}
	return out
}

func probeText(address, base, semaphore uint64, texts string) []byte {
	var out []byte
	for _, n := range []uint64{address, base, semaphore} {
		out = binary.LittleEndian.AppendUint64(out, n)
	}
	return append(out, texts...)
}

func TestNotes(t *testing.T) {
	section := bytes.Join([][]byte{
		note("stapsdt", 3, probeText(0x1000, 0x500, 0x2000, "one\x00first\x008@%rdi\x00")),
		note("GNU", 3, probeText(1, 2, 3, "not\x00this\x00\x00")),
		note("stapsdt", 3, probeText(0x1004, 0x600, 0, "one\x00second\x00\x00")),
		note("stapsdt", 3, []byte("too short")),
	}, nil)
	want := []Probe{
		{"one", "first", 0x1100, 0x2100, "8@%rdi"}, // prelink has moved the base by 0x100
		{"one", "second", 0x1004, 0, ""},
	}
	if got := parseNotes(section, binary.LittleEndian, 8, 0x600); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// TestReadelf: the probes of real files are those that readelf lists.
func TestReadelf(t *testing.T) {
	probes := 0
	for _, name := range []string{"python3", "stdc++", "c"} {
		path, err := Find(name, 0)
		if err != nil {
			continue
		}
		out, err := exec.Command("readelf", "-n", path).Output()
		if err != nil {
			t.Skipf("needs readelf: %v", err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range f.Probes() {
			got = append(got, p.Provider, p.Name, strconv.FormatUint(p.Address, 16), p.Arguments)
		}
		if want := listed(string(out)); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		probes += len(f.Probes())
	}
	if probes == 0 {
		t.Skip("needs a file with USDT probes: apt-get install python3-minimal")
	}
}

// listed is what readelf prints of USDT notes.
func listed(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		for _, label := range []string{"Provider: ", "Name: ", "Location: ", "Arguments: "} {
			_, value, ok := strings.Cut(line, label)
			if !ok {
				continue
			}
			value = strings.TrimSpace(value)
			if label == "Location: " {
				value, _, _ = strings.Cut(value, ",")
				n, _ := strconv.ParseUint(value, 0, 64)
				value = strconv.FormatUint(n, 16)
			}
			all = append(all, value)
		}
	}
	return all
}

func FuzzNotes(f *testing.F) {
	f.Add(note("stapsdt", 3, probeText(0x1000, 0x500, 0x2000, "one\x00first\x008@%rdi\x00")), uint64(0x500))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0}, uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, base uint64) {
		for _, width := range []int{4, 8} {
			for _, p := range parseNotes(data, binary.LittleEndian, width, base) {
				if p.Provider == "" || p.Name == "" {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}

// FuzzRead: no file makes it fail otherwise than by an error.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := read(bytes.NewReader(data)); err == nil {
			file.Symbol("main")
			file.At(0x1000)
			file.Offset(0x1000)
		}
	})
}
