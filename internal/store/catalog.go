// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Files of the directory. A period's number is in all its names; those of segments also
// say which time they span, so that most are passed over without being opened.
//
//	00000012.wal
//	exec-00000012-20261125T100000.000000000Z-20261125T105959.123456789Z.parquet
const (
	logSuffix     = ".wal"
	segmentSuffix = ".parquet"
	tempPrefix    = ".tmp-"
	stampLayout   = "20060102T150405.000000000Z"
)

// How often something repeats is looked at apart: with it, these take 200 kB of every agent.
var (
	logNames     = regexp.MustCompile(`^([0-9]+)\.wal$`)
	segmentNames = regexp.MustCompile(`^([a-z_]+)-([0-9]+)-([0-9T.]+Z)-([0-9T.]+Z)\.parquet$`)
)

const maxKindName = 32

// isPeriod tells a number of a period from other digits: it has 8 to 18.
func isPeriod(digits string) bool { return len(digits) >= 8 && len(digits) <= 18 }

// span is a closed interval of wall time in nanoseconds since the epoch.
type span struct{ from, to int64 }

// nothing is the empty span.
var nothing = span{math.MaxInt64, math.MinInt64}

func (s *span) add(t int64)        { s.from, s.to = min(s.from, t), max(s.to, t) }
func (s span) meets(o span) bool   { return s.from <= o.to && o.from <= s.to }
func (s span) union(o span) span   { return span{min(s.from, o.from), max(s.to, o.to)} }
func stamp(ns int64) string        { return time.Unix(0, ns).UTC().Format(stampLayout) }
func logName(period uint64) string { return fmt.Sprintf("%08d%s", period, logSuffix) }

func segmentName(kind string, period uint64, s span) string {
	return fmt.Sprintf("%s-%08d-%s-%s%s", kind, period, stamp(s.from), stamp(s.to), segmentSuffix)
}

// segment is a Parquet file of one kind and period.
type segment struct {
	name  string
	kind  string
	span  span
	bytes int64
}

// period is a stretch of the stream: a log, or the segments that were made of it.
type period struct {
	id       uint64
	log      bool
	span     span
	bytes    int64
	segments []segment
	// lost is why the log could not be read when the agent began.
	lost error
	// leaveUntil is when it is tried again to close it, after that has failed.
	leaveUntil time.Time
}

// readCatalog lists the periods of a directory, oldest first. The spans of logs are not
// known. Segments beside their period's log were being made when the machine or the agent
// stopped: they do not count, and they will be made again.
func readCatalog(dir string) ([]*period, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list disk log: %w", err)
	}
	byID := map[uint64]*period{}
	at := func(text string) *period {
		id, _ := strconv.ParseUint(text, 10, 64) // at most 18 digits
		if byID[id] == nil {
			byID[id] = &period{id: id, span: nothing}
		}
		return byID[id]
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if m := logNames.FindStringSubmatch(f.Name()); m != nil && isPeriod(m[1]) {
			p := at(m[1])
			p.log, p.bytes = true, info.Size()
		} else if s, id, ok := parseSegment(f.Name()); ok {
			s.bytes = info.Size()
			p := at(id)
			p.segments = append(p.segments, s)
		}
	}
	periods := make([]*period, 0, len(byID))
	for _, p := range byID {
		p.settle()
		periods = append(periods, p)
	}
	slices.SortFunc(periods, func(a, b *period) int { return cmp.Compare(a.id, b.id) })
	return periods, nil
}

// settle applies the rule that a log stands for its period, and adds up segments.
func (p *period) settle() {
	if p.log {
		p.segments = nil
		return
	}
	p.span, p.bytes = nothing, 0
	for _, s := range p.segments {
		p.span, p.bytes = p.span.union(s.span), p.bytes+s.bytes
	}
}

func parseSegment(name string) (s segment, period string, ok bool) {
	m := segmentNames.FindStringSubmatch(name)
	if m == nil || len(m[1]) > maxKindName || !isPeriod(m[2]) {
		return s, "", false
	}
	from, err1 := time.Parse(stampLayout, m[3])
	to, err2 := time.Parse(stampLayout, m[4])
	s = segment{name: name, kind: m[1], span: span{from.UnixNano(), to.UnixNano()}}
	return s, m[2], err1 == nil && err2 == nil
}

// removeTemporary removes what was being written when the machine stopped.
func removeTemporary(dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, name := range names {
		os.Remove(name)
	}
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
