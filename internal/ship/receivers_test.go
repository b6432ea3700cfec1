// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// numbers reads the seq of JSON lines.
func numbers(t *testing.T, text string) (seqs []uint64) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r struct{ Seq uint64 }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("not a line of JSON: %q: %v", line, err)
		}
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

// TestFile: all records are in the files, none torn or twice, and the old files are gone.
func TestFile(t *testing.T) {
	h := newHouse(t, 0)
	path := filepath.Join(t.TempDir(), "log", "events.jsonl")
	o, end := h.start(NewFile(FileOptions{Path: path, MaxBytes: 64 << 10, Keep: 2}, filter(t, nil)))
	for range 10 {
		h.write(100, 1)
		time.Sleep(120 * time.Millisecond) // a batch of its own
	}
	end()
	var text string
	for _, name := range []string{path + ".2", path + ".1", path} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) > 64<<10 {
			t.Errorf("%s has %d bytes", name, len(part))
		}
		text += string(part)
	}
	seqs := numbers(t, text)
	if last := seqs[len(seqs)-1]; last != 1000 || seqs[0]+uint64(len(seqs)) != 1001 {
		t.Errorf("from %d to %d in %d lines", seqs[0], last, len(seqs))
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("more files are kept than were asked for")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || o.Stats().Delivered != 1000 {
		t.Errorf("mode %v, %+v", info.Mode(), o.Stats())
	}
}

// TestFileMoved: a file that logrotate has moved away is not written any more.
func TestFileMoved(t *testing.T) {
	h := newHouse(t, 0)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	o, end := h.start(NewFile(FileOptions{Path: path, MaxBytes: 1 << 20}, filter(t, nil)))
	h.write(3, 1)
	within(t, "three records", func() error { return wantDelivered(o, 3) })
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	h.write(2, 1)
	end()
	for name, want := range map[string]int{path: 2, path + ".old": 3} {
		text, err := os.ReadFile(name)
		if err != nil || strings.Count(string(text), "\n") != want {
			t.Errorf("%s: %q, %v, want %d lines", name, text, err, want)
		}
	}
}

func wantDelivered(o *Output, n uint64) error {
	if s := o.Stats(); s.Delivered != n {
		return fmt.Errorf("%+v", s)
	}
	return nil
}

// TestFileRefusesLinks: a link in the last place, what is no file, and what is another
// user's too, are not written.
func TestFileRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/null", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(dir+"/one", nil, 0o600), os.Link(dir+"/one", dir+"/two")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + "/link", "/dev/null", dir, dir + "/two"} {
		h := newHouse(t, 0)
		o, _ := h.start(NewFile(FileOptions{Path: path, MaxBytes: 1 << 20}, filter(t, nil)))
		h.write(1, 1)
		within(t, path, func() error {
			if s := o.Stats(); s.Failures == 0 || s.LastError == "" || s.Delivered != 0 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
}

// TestFullDisk: a write that fails half-way leaves no torn line, and the records come once
// there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs root: it mounts a small file system: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "events.jsonl")
	h := newHouse(t, 0)
	o, end := h.start(NewFile(FileOptions{Path: path, MaxBytes: 1 << 20}, filter(t, nil)))
	h.write(100, 1)
	within(t, "the first records", func() error { return wantDelivered(o, 100) })
	h.write(400, 1)
	within(t, "the disk is full", func() error {
		if s := o.Stats(); s.Failures == 0 || !strings.Contains(s.LastError, "no space") {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	text, err := os.ReadFile(path)
	if err != nil || len(numbers(t, string(text))) != 100 { // which fails on a torn line
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	end()
	text, err = os.ReadFile(path)
	if seqs := numbers(t, string(text)); err != nil || len(seqs) != 500 || seqs[499] != 500 {
		t.Errorf("%d lines, %v", len(seqs), err)
	}
}

var syslogLine = regexp.MustCompile(`^<134>1 2023-11-14T22:13:20\.123456Z hostone skepd \d+ exec - (\{.*\})$`)

// checkSyslog takes an RFC 5424 message apart and returns the record's number.
func checkSyslog(t *testing.T, message string) uint64 {
	t.Helper()
	m := syslogLine.FindStringSubmatch(message)
	if m == nil {
		t.Fatalf("not a message of RFC 5424: %q", message)
	}
	return numbers(t, m[1])[0]
}

const local0 = 16

func TestSyslogDatagrams(t *testing.T) {
	for _, network := range []string{"unixgram", "udp"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unixgram" {
				address = filepath.Join(t.TempDir(), "log")
			}
			l, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			h := newHouse(t, 0)
			_, end := h.start(NewSyslog(SyslogOptions{Network: network, Address: l.LocalAddr().String(), Facility: local0}, node, filter(t, nil)))
			h.write(20, 1)
			buf := make([]byte, 64<<10)
			for i := range 20 {
				_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
				n, _, err := l.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				if seq := checkSyslog(t, string(buf[:n])); seq != uint64(i+1) {
					t.Errorf("message %d has record %d", i+1, seq)
				}
			}
			end()
		})
	}
}

// TestSyslogTCP: octet counting, and a server that goes away and comes back.
func TestSyslogTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	h := newHouse(t, 0)
	o, end := h.start(NewSyslog(SyslogOptions{Network: "tcp", Address: address, Facility: local0}, node, filter(t, nil)))
	read := func(l net.Listener, n int) (seqs []uint64) {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(conn)
		for range n {
			length, err := r.ReadString(' ')
			if err != nil {
				t.Fatal(err)
			}
			size, err := strconv.Atoi(strings.TrimSpace(length))
			if err != nil {
				t.Fatalf("no octet count: %q", length)
			}
			message := make([]byte, size)
			if _, err := io.ReadFull(r, message); err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, checkSyslog(t, string(message)))
		}
		return seqs
	}
	h.write(5, 1)
	if got := read(l, 5); got[4] != 5 {
		t.Errorf("got %v", got)
	}
	l.Close()
	within(t, "the server's absence is noticed", func() error {
		h.write(1, 1)
		if s := o.Stats(); s.Failures == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	l, err = net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := read(l, 1); got[0] <= 5 {
		t.Errorf("after it came back: %v", got)
	}
	end()
}

// TestTooLongForADatagram: refused and counted, and what follows comes.
func TestTooLongForADatagram(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &syslog{SyslogOptions: SyslogOptions{Network: "udp", Address: l.LocalAddr().String()}, host: strings.Repeat("h", 70_000), pid: "1"}
	h := newHouse(t, 0)
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: s})
	h.write(3, 1)
	end()
	if stats := o.Stats(); stats.Lost["exec"] != 3 || stats.Delivered != 0 || !strings.Contains(stats.LastError, "datagram") {
		t.Errorf("%+v", stats)
	}
}
