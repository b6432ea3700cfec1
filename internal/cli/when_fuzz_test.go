// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"
)

// FuzzWhen: what is taken for a time is one: an age that is past, a time of day of the last
// 24 hours, or a point that reads back from its own RFC 3339.
func FuzzWhen(f *testing.F) {
	for _, s := range []string{"", "5m", "-5m", "0s", "7d", "65535d", "65536d", "1h30m", "10:32", "23:59:59", "24:00", "2026-11-25", "2026-11-25T10:32",
		"2026-11-25 10:32:05", "2026-02-30", "0000-01-01", "9999-12-31T23:59:59.999999999Z", "2026-11-25T10:32:05+14:00", "9223372036s", "\x1b[31m"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 28, 10, 32, 5, 7, time.FixedZone("here", 2*60*60))
	f.Fuzz(func(t *testing.T, s string) {
		w, err := parseWhen("since", s, now)
		if err != nil {
			return
		}
		at := w.time(now)
		switch {
		case w.at.IsZero() != (w.age > 0) || w.age > 0 && w.clock:
			t.Errorf("%q is both an age and a time, or neither: %+v", s, w)
		case w.age > 0 && !at.Before(now):
			t.Errorf("the age %q is the time %v", s, at)
		case w.clock && (at.After(now) || now.Sub(at) > 24*time.Hour):
			t.Errorf("the time of day %q is %v, and now is %v", s, at, now)
		case w.age == 0:
			if back, err := parseWhen("since", at.Format(time.RFC3339Nano), now); err != nil || !back.at.Equal(at) {
				t.Errorf("%q is %v, which reads back as %v, %v", s, at, back.at, err)
			}
		}
	})
}
