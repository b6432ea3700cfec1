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
