// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"
)

func TestParseWhen(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 11, 25, 11, 0, 0, 0, zone)
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 11, d, h, m, s, 0, zone) }
	for text, want := range map[string]time.Time{
		"90s":                                 now.Add(-90 * time.Second),
		"24h":                                 now.Add(-24 * time.Hour),
		"7d":                                  now.Add(-7 * 24 * time.Hour),
		"10:32":                               day(25, 10, 32, 0),
		"10:32:05":                            day(25, 10, 32, 5),
		"11:30":                               day(24, 11, 30, 0), // still to come today
		"2026-11-20":                          day(20, 0, 0, 0),
		"2026-11-20T10:32":                    day(20, 10, 32, 0),
		"2026-11-20 10:32:05":                 day(20, 10, 32, 5),
		"2026-11-20T10:32:05Z":                time.Date(2026, 11, 20, 10, 32, 5, 0, time.UTC),
		"2026-11-20T10:32:05.123456789+01:00": time.Date(2026, 11, 20, 9, 32, 5, 123456789, time.UTC),
	} {
		w, err := parseWhen("since", text, now)
		if err != nil || !w.time(now).Equal(want) {
			t.Errorf("%s is %v (%v), want %v", text, w.time(now), err, want)
		}
	}
	for _, text := range []string{"", "0s", "-5m", "yesterday", "25:00", "2026-13-01", "5 m", "d", "-1d", "99999999d"} {
		if w, err := parseWhen("since", text, now); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}

// TestParsePeriod: a time of day ends the period on the day on which it began, or the next.
func TestParsePeriod(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 15, 0, 0, time.FixedZone("here", -5*3600))
	day := func(d, h, m int) time.Time { return time.Date(2026, 11, d, h, m, 0, 0, now.Location()) }
	for _, c := range []struct {
		since, until string
		from, to     time.Time
	}{
		{"10:00", "10:30", day(25, 10, 0), day(25, 10, 30)}, // still to come
		{"2026-11-24T08:00", "12:00", day(24, 8, 0), day(24, 12, 0)},
		{"2026-11-20T23:30", "00:30", day(20, 23, 30), day(21, 0, 30)},
		{"2026-11-21T04:30:00Z", "00:30", day(20, 23, 30), day(21, 0, 30)},
		{"22:00", "06:00", day(24, 22, 0), day(25, 6, 0)},
		{"30m", "10:00", day(25, 9, 45), day(25, 10, 0)},
		{"2h", "1h", day(25, 8, 15), day(25, 9, 15)},
		{"", "10:30", time.Time{}, day(24, 10, 30)},
	} {
		from, to, err := parsePeriod(c.since, c.until, now)
		if err != nil {
			t.Fatal(err)
		}
		if (from == nil) != c.from.IsZero() || from != nil && !from.time(now).Equal(c.from) || !to.time(now).Equal(c.to) {
			t.Errorf("--since %s --until %s is %+v to %+v, want %v to %v", c.since, c.until, from, to, c.from, c.to)
		}
	}
	if from, to, err := parsePeriod("", "", now); from != nil || to != nil || err != nil {
		t.Errorf("no period is %v to %v: %v", from, to, err)
	}
}
