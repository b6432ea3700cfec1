// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func start(t *testing.T, path string, fileSize int64) *Journal {
	t.Helper()
	j, err := open(path, fileSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func write(t *testing.T, j *Journal, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := j.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// all is what a reader gets, with the gaps as numbers.
func all(t *testing.T, r *Reader) []string {
	t.Helper()
	var out []string
	if err := r.Read(func(lost uint64, body []byte) error {
		if lost > 0 {
			out = append(out, fmt.Sprint(lost))
		}
		out = append(out, string(body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	j := start(t, path, 1<<20)
	check(t, "empty", all(t, j.Reader(1)))
	changed := j.Changed()
	write(t, j, "one", "two")
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	r := j.Reader(1)
	check(t, "first", all(t, r), "one", "two")
	check(t, "nothing new", all(t, r))
	write(t, j, "three")
	check(t, "followed", all(t, r), "three")
	check(t, "from the second on", all(t, j.Reader(2)), "two", "three")
	if lost, err := j.Write(make([]byte, MaxBody+1), []byte("four")); lost != 1 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	check(t, "the gap is told", all(t, r), "1", "four")

	// Opened again it goes on with the numbers.
	again := start(t, path, 1<<20)
	if again.Next() != 6 {
		t.Errorf("the next is %d", again.Next())
	}
	if err := Remove(path); err != nil || again.Bytes() != 0 {
		t.Errorf("removed: %v, %d bytes", err, again.Bytes())
	}
}

// TestBounded: what is overwritten is told, whoever was reading meanwhile, and the files stay small.
func TestBounded(t *testing.T) {
	j := start(t, filepath.Join(t.TempDir(), "x.log"), 100) // four entries of 20 bytes and header
	slow, sum := j.Reader(1), uint64(0)
	for i := range 1000 {
		write(t, j, fmt.Sprintf("%04d", i))
		if i%7 == 0 {
			_ = slow.Read(func(lost uint64, _ []byte) error { sum += lost + 1; return nil })
		}
	}
	_ = slow.Read(func(lost uint64, _ []byte) error { sum += lost + 1; return nil })
	if sum != 1000 {
		t.Errorf("read and lost are %d", sum)
	}
	if n := j.Bytes(); n > 100*(filesKept+1) {
		t.Errorf("%d bytes", n)
	}
	got := all(t, j.Reader(1))
	if got[0] != fmt.Sprint(1000-(len(got)-1)) || got[len(got)-1] != "0999" {
		t.Errorf("%q", got)
	}
}

// TestTorn: what a crash leaves half is taken away, and what follows can be read.
func TestTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	j := start(t, path, 1<<20)
	write(t, j, "one", "two")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < header+3; cut++ {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := start(t, path, 1<<20)
		write(t, again, "new")
		check(t, fmt.Sprint("cut by ", cut), all(t, again.Reader(1)), "one", "1", "new")
	}
}

// TestDamaged: so is what is damaged, of which it is not known how much it was.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	j := start(t, path, 1<<20)
	write(t, j, "one", "two", "three")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[header+3+header] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	again := start(t, path, 1<<20)
	write(t, again, "new")
	check(t, "damaged", all(t, again.Reader(1)), "one", "1", "new")
}

// TestSlowReader: a reader whose file is gone meanwhile goes on with the oldest that is there,
// also where that, or another, got the number of the file (inode) that is gone.
func TestSlowReader(t *testing.T) {
	for pause := 1; pause < 40; pause++ {
		j := start(t, filepath.Join(t.TempDir(), "x.log"), 100)
		r, sum := j.Reader(1), 0
		for i := range 300 {
			write(t, j, fmt.Sprintf("%0*d", 1+i%9, i))
			if i%pause != 0 {
				continue
			}
			if err := r.Read(func(lost uint64, _ []byte) error { sum += int(lost) + 1; return nil }); err != nil {
				t.Fatal(err)
			}
			if sum != i+1 {
				t.Fatalf("read each %d: %d read and lost of %d", pause, sum, i+1)
			}
		}
	}
}

// FuzzScan: any file can be opened, read and gone on with.
func FuzzScan(f *testing.F) {
	good := appendEntry(appendEntry(nil, 1, []byte("one")), 2, nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "x.log")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		j := start(t, path, 1<<30)
		next := j.Next()
		write(t, j, "mine")
		last := ""
		if err := j.Reader(next).Read(func(_ uint64, body []byte) error { last = string(body); return nil }); err != nil || next != 0 && last != "mine" {
			t.Fatalf("%v, the last is %q", err, last)
		}
	})
}
