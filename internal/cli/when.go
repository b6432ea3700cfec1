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
it. A time of day is today's or, if that is still to come, yesterday's; that of --until
is the first after --since.`

// when is a time as a user gives it: an age, or a point.
type when struct {
	age   time.Duration
	at    time.Time // zero for an age
	clock bool      // at is a time of day
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
			today := onDay(now, 0, t)
			if today.After(now) {
				today = onDay(now, -1, t)
			}
			return when{at: today, clock: true}, nil
		}
	}
	return when{}, usage("--%s %q: neither an age such as 5m or 24h nor a time such as 10:32 or 2026-11-25T10:32", flag, s)
}

// onDay is a time of day on the day of base, or that many days later.
func onDay(base time.Time, days int, t time.Time) time.Time {
	return time.Date(base.Year(), base.Month(), base.Day()+days, t.Hour(), t.Minute(), t.Second(), 0, base.Location())
}

// parsePeriod reads the values of --since and --until; nil where there is none.
func parsePeriod(since, until string, now time.Time) (from, to *when, err error) {
	if since != "" {
		w, err := parseWhen("since", since, now)
		if err != nil {
			return nil, nil, err
		}
		from = &w
	}
	if until == "" {
		return from, nil, nil
	}
	w, err := parseWhen("until", until, now)
	if err != nil {
		return nil, nil, err
	}
	if w.clock && from != nil { // one that is still to come ends nothing
		begin := from.time(now).In(now.Location())
		clock := w.at
		if w.at = onDay(begin, 0, clock); !w.at.After(begin) {
			w.at = onDay(begin, 1, clock)
		}
	}
	return from, &w, nil
}

func parseAge(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}
