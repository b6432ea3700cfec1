// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// FuzzProc: whatever the files of /proc/PID say, what is made of them is bounded and valid
// text; and whatever a process calls itself, its name and start time are found.
func FuzzProc(f *testing.F) {
	stat := "42 (sh) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n"
	status := "Name:\tsh\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t42\t7\nNSsid:\t9\nCapEff:\t000001ffffffffff\n"
	f.Add([]byte(stat), []byte(status), []byte("sh\x00-c\x00true\x00"), "sh", uint64(987654))
	f.Add([]byte("42 )("), []byte("Uid:\nGid:\t-1\nNSpid:\n"), []byte("\x00\x00"), ") S 1 (", uint64(0))
	f.Add([]byte("42 (x) S"), []byte("Uid:\t99999999999999999999\n:\n"), []byte(strings.Repeat("a\x00", 2000)), "a\nb\xff", ^uint64(0))
	f.Add([]byte{}, []byte{}, []byte(strings.Repeat("\xff", 5000)), "", uint64(1))
	dir := f.TempDir() + "/"
	write := func(t *testing.T, name string, text []byte) {
		if err := os.WriteFile(dir+name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, stat, status, line []byte, comm string, ticks uint64) {
		write(t, "stat", stat)
		write(t, "status", status)
		write(t, "loginuid", status)
		write(t, "cmdline", line)
		if s, _ := readStat(dir); !utf8.ValidString(s.comm) {
			t.Errorf("the name of %q is %q", stat, s.comm)
		}
		body := &skepv1.Exec{}
		readStatus(dir, body)
		readArgs(dir, body, nil)
		if body.Credentials == nil || body.Capabilities == nil {
			t.Errorf("nothing was made of the status %q", status)
		}
		n := len(body.ArgsRaw)
		if n == 0 { // else Args are longer: each byte that is not UTF-8 has become three
			n = len(strings.Join(body.Args, "\x00"))
		}
		if n > maxArgs || len(body.Args) > MaxArgCount {
			t.Errorf("%d arguments of %d bytes, from %d bytes", len(body.Args), n, len(line))
		}
		for _, arg := range body.Args {
			if !utf8.ValidString(arg) {
				t.Errorf("argument %q", arg)
			}
		}
		write(t, "stat", fmt.Appendf(nil, "42 (%.64s) S %s%d 0 0\n", comm, strings.Repeat("0 ", 18), ticks))
		if s, ok := readStat(dir); !ok || s.ticks != ticks || s.comm != valid(fmt.Sprintf("%.64s", comm)) {
			t.Errorf("process %q that started at %d is read as %q, %d, %t", comm, ticks, s.comm, s.ticks, ok)
		}
	})
}
