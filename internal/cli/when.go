// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"strings"
	"time"
)

// whenHelp is the part of a command's help about times.
const whenHelp = `A time is an age such as 90s, 5m, 24h or 7d; a local time such as 10:32, 10:32:05,
2026-11-25, 2026-11-25T10:32 or "2026-11-25 10:32:05"; or one with a zone as JSON has
it. A time of day is today's or, if that is still to come, yesterday's.`

// when is a time as a user gives it: an age, or a point.
type when struct {
	age time.Duration
	at  time.Time // zero for an age
}

func (w when) time(now time.Time) time.Time {
	if w.at.IsZero() {
		return now.Add(-w.age)
	}
	return w.at
}

var (
	timesOfDay = []string{"15:04", "15:04:05"}
	localTimes = []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}
)

// parseWhen reads the value of a flag.
func parseWhen(flag, s string, now time.Time) (when, error) {
	if d, ok := parseAge(s); ok {
		if d <= 0 {
			return when{}, usage("--%s %s: must be more than 0, such as 5m", flag, s)
		}
		return when{age: d}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return when{at: t}, nil
	}
	for _, layout := range localTimes {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return when{at: t}, nil
		}
	}
	for _, layout := range timesOfDay {
		if t, err := time.Parse(layout, s); err == nil {
			today := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if today.After(now) {
				today = time.Date(now.Year(), now.Month(), now.Day()-1, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			}
			return when{at: today}, nil
		}
	}
	return when{}, usage("--%s %q: neither an age such as 5m or 24h nor a time such as 10:32 or 2026-11-25T10:32", flag, s)
}

func parseAge(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}
