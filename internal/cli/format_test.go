// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 380: "380ns", 1234: "1.2us", 999_999: "999us", 1_200_000: "1.2ms",
		45_300 * time.Millisecond: "45.3s", 59_990 * time.Millisecond: "59.9s", time.Minute: "1m00s",
		200 * time.Second: "3m20s", 2*time.Hour + 4*time.Minute: "2h04m", 123 * time.Hour: "5d03h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestFormatBytesAndCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 150 << 20: "150MiB", 1<<64 - 1: "16EiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := formatCount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestFitCountsColumns(t *testing.T) {
	s := screen{utf8: true}
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"short", 10, "short"}, {"exactly", 7, "exactly"}, {"too long", 5, "too …"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"x", 0, "x"}} {
		if got := s.fit(c.in, c.n); got != c.want || c.n > 0 && columns(got) > c.n {
			t.Errorf("fit(%q, %d) = %q", c.in, c.n, got)
		}
	}
}

func TestTableFitsTerminal(t *testing.T) {
	tab := table{columns: []column{{title: "A", max: 5}, {title: "N", right: true}, {title: "LAST"}}}
	tab.add(text("abcdefghij"), text("7"), text(strings.Repeat("x", 100)))
	tab.add(text("日本"), text("123"), text("y"))
	got := string(tab.render(nil, screen{utf8: true}, 40))
	want := "A        N  LAST\nabcd…    7  " + strings.Repeat("x", 27) + "…\n日本   123  y\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	whole := string(tab.render(nil, screen{utf8: true}, 0))
	if !strings.Contains(whole, strings.Repeat("x", 100)) || !strings.Contains(whole, "abcdefghij") {
		t.Errorf("cut off without a terminal:\n%s", whole)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)
	c := clock{now: func() time.Time { return now }}
	at := time.Date(2026, 3, 4, 9, 8, 7, 0, time.Local)
	for _, w := range []struct {
		sec  int64
		nsec int32
		want string
	}{{at.Unix(), 12_345_678, "09:08:07.012345"}, {at.Unix(), 999_999_999, "09:08:07.999999"}, {at.Unix() + 1, 0, "09:08:08.000000"},
		{at.AddDate(0, 0, -1).Unix(), 5, "Mar  3 09:08:07"}} {
		if got := c.format(w.sec, w.nsec); got != w.want {
			t.Errorf("%s, want %s", got, w.want)
		}
	}
}

// A working directory whose front is missing does not look like a relative one.
func TestDirectory(t *testing.T) {
	whole := &skepv1.ProcessInfo{Cwd: "/srv", Exec: &skepv1.Exec{}}
	cut := &skepv1.ProcessInfo{Cwd: "a/b", Exec: &skepv1.Exec{CwdTruncated: true}}
	if a, b := directory(screen{utf8: true}, whole), directory(screen{utf8: true}, cut); a != "/srv" || b != "…/a/b" {
		t.Errorf("got %q and %q", a, b)
	}
}
