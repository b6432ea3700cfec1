// SPDX-License-Identifier: Apache-2.0

package store

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// query is what is asked of the store.
type query struct {
	span    span
	kinds   map[string]bool // of segments; nil is every kind but snapshots
	match   func(*skepv1.Record) bool
	clauses []clause
}

func (s span) has(t int64) bool { return s.from <= t && t <= s.to }

// newQuery asks for what a filter matches between two times; a zero time is no bound.
func newQuery(from, until time.Time, filter *filters.Filter) *query {
	q := &query{span: span{math.MinInt64, math.MaxInt64}, clauses: clausesOf(filter.Spec())}
	if !from.IsZero() {
		q.span.from = from.UnixNano()
	}
	if !until.IsZero() {
		q.span.to = until.UnixNano()
	}
	q.kinds = map[string]bool{}
	for _, k := range event.Kinds() {
		q.kinds[k.String()] = filter.CursorKinds().Has(k)
	}
	q.match = func(r *skepv1.Record) bool { return r.GetKind() != snapshotKind && filter.Match(r) }
	return q
}

// clausesFor are the clauses that hold for a kind: records about skep itself match
// whatever their fields are.
func (q *query) clausesFor(kind string) []clause {
	if kind == event.Loss.String() || kind == event.Agent.String() {
		return nil
	}
	return q.clauses
}

// excludes says whether no record matches that has the kind, if it is set, and the process,
// if it is, of this one.
func (q *query) excludes(r *skepv1.Record) bool {
	if r.GetKind() != "" && !q.kinds[r.GetKind()] {
		return true
	}
	if r.GetProcess() == nil {
		return false
	}
	r.Pod = r.GetProcess().GetContainer().GetPod() // as the agent sets it
	for i := range q.clauses {
		if c := &q.clauses[i]; c.aboutProcess() && !c.holds(r) {
			return true
		}
	}
	return false
}

// lacks says of a shared piece that is not decoded whether it has a process that none of the
// wanted records has.
func (q *query) lacks(piece []byte) bool {
	number, _, n := protowire.ConsumeTag(piece)
	if n < 0 || number != processField {
		return false
	}
	only := stored{pieces: [maxPieces][]byte{piece}, n: 1}
	for i := range q.clauses {
		if c := &q.clauses[i]; c.exact != nil && c.aboutProcess() && !c.possible(&only, "") {
			return true
		}
	}
	return false
}

// possible says of a record that is not decoded whether it may match.
func (q *query) possible(r *stored, h head) bool {
	clauses := q.clausesFor(string(h.kind))
	for i := range clauses {
		if !clauses[i].possible(r, h.body) {
			return false
		}
	}
	return true
}

// Past is what the store held at one moment. It must be closed.
type Past struct {
	store    *Store
	position event.Position
	parts    []part
}

// part is a log that is open, a log that cannot be read, or a segment.
type part struct {
	name    string
	span    span
	log     *os.File
	size    int64
	lost    error // why the log cannot be read
	segment segment
}

// may says whether the part may hold records of the kinds.
func (p *part) may(kinds map[string]bool) bool { return p.segment.kind == "" || kinds[p.segment.kind] }

// Past holds on to what the store has now. Of what is appended to the event log it has
// all before Position that is not counted as lost, and nothing behind. It waits for the
// disk if that hangs: it is of no use without it.
func (s *Store) Past() *Past {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &Past{store: s, position: s.position}
	for _, each := range s.periods {
		if !each.log {
			for _, segment := range each.segments {
				p.parts = append(p.parts, part{name: segment.name, span: segment.span, segment: segment})
			}
			continue
		}
		p.parts = append(p.parts, s.openPart(each))
	}
	return p
}

func (s *Store) openPart(of *period) part {
	p := part{name: logName(of.id), span: of.span, size: of.bytes, lost: of.lost}
	if s.active(of) {
		p.span, p.size = s.log.span, s.log.size
	}
	if p.lost == nil {
		p.log, p.lost = os.Open(filepath.Join(s.opts.Dir, p.name))
	}
	if of.lost != nil {
		p.span = span{math.MinInt64, math.MaxInt64} // what it holds is not known
	}
	return p
}

// Position is where the event log goes on behind what is stored.
func (p *Past) Position() event.Position { return p.position }

// Close lets go of the files.
func (p *Past) Close() {
	for _, part := range p.parts {
		if part.log != nil {
			part.log.Close()
		}
	}
	p.parts = nil
}

// Oldest is the time of the oldest record; zero if there is none.
func (p *Past) Oldest() time.Time {
	all := nothing
	for _, part := range p.parts {
		if part.lost == nil {
			all = all.union(part.span)
		}
	}
	if all == nothing {
		return time.Time{}
	}
	return time.Unix(0, all.from)
}

// Missing is a file that the answer to a query had to do without.
type Missing struct {
	File string
	// Records that it had, 0 if that is not known.
	Records uint64
	Err     error
}

// String is the file and what is wrong with it.
func (m Missing) String() string {
	if m.Records > 0 {
		return fmt.Sprintf("%s (%d records): %v", m.File, m.Records, m.Err)
	}
	return fmt.Sprintf("%s: %v", m.File, m.Err)
}

// Read calls emit with the records that match, in the order of their time. What is
// emitted is not changed any more. Files that could not be read are in missing.
func (p *Past) Read(ctx context.Context, from, until time.Time, filter *filters.Filter, emit func(*skepv1.Record) error) (missing []Missing, err error) {
	return p.read(ctx, newQuery(from, until, filter), emit)
}

func (p *Past) read(ctx context.Context, q *query, emit func(*skepv1.Record) error) ([]Missing, error) {
	m := &merge{past: p, query: q}
	defer m.close()
	for i := range p.parts {
		if part := &p.parts[i]; part.span.meets(q.span) && part.may(q.kinds) {
			m.inputs = append(m.inputs, input{part: part, time: part.span.from})
		}
	}
	heap.Init(&m.inputs)
	for i := 0; len(m.inputs) > 0; i++ {
		if i%256 == 0 && ctx.Err() != nil {
			return m.missing, ctx.Err()
		}
		r, err := m.step()
		if err == nil && r != nil {
			err = emit(r)
		}
		if err != nil {
			return m.missing, err
		}
	}
	return m.missing, nil
}

// source yields records by time, and io.EOF after the last.
type source interface {
	next() (*skepv1.Record, error)
	close()
}

// merge makes one stream of many. An input is opened when the stream has come to the time
// of its first record, so that few are open at once.
type merge struct {
	past    *Past
	query   *query
	inputs  inputs
	missing []Missing
}

type input struct {
	part   *part
	time   int64 // of record or, before it is open, of the part
	source source
	record *skepv1.Record
}

// step takes the oldest input one record further; it returns the record that it had.
func (m *merge) step() (*skepv1.Record, error) {
	in := &m.inputs[0]
	out := in.record
	if in.source == nil {
		if !m.open(in) {
			heap.Pop(&m.inputs)
			return nil, nil
		}
	}
	r, err := in.source.next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			m.miss(in.part, err)
		}
		in.source.close()
		heap.Pop(&m.inputs)
		return out, nil
	}
	in.record, in.time = r, timeOf(r)
	heap.Fix(&m.inputs, 0)
	return out, nil
}

func (m *merge) open(in *input) bool {
	err := in.part.lost
	switch {
	case err != nil:
	case in.part.log != nil:
		var s *logSource
		s, err = openLogSource(in.part.log, in.part.size, m.query)
		in.source = s
	default:
		var s *segmentSource
		if s, err = openSegment(m.past.store.opts.Dir, in.part.segment, m.query); s == nil && err == nil {
			return false
		}
		in.source = s
	}
	if err != nil {
		m.miss(in.part, err)
		return false
	}
	return true
}

// miss notes a file that cannot be read, or no further.
func (m *merge) miss(p *part, err error) {
	found := Missing{File: p.name, Err: err}
	var damaged *damagedError
	switch {
	case errors.As(err, &damaged):
		found.Records, found.Err = uint64(damaged.records), damaged.err
		m.past.store.health.noteDamaged(p.segment.name, err, m.past.store.opts.Logger)
	case errors.Is(err, fs.ErrNotExist):
		found.Err = errors.New("it was removed to make room while it was to be read")
	}
	m.missing = append(m.missing, found)
}

func (m *merge) close() {
	for _, in := range m.inputs {
		if in.source != nil {
			in.source.close()
		}
	}
}

// inputs is a heap: the oldest record first.
type inputs []input

func (h inputs) Len() int { return len(h) }

func (h inputs) Less(i, j int) bool {
	if h[i].record == nil || h[j].record == nil || h[i].time != h[j].time {
		return h[i].time < h[j].time
	}
	return older(h[i].record, h[j].record)
}

func (h inputs) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *inputs) Push(x any) { *h = append(*h, x.(input)) }

// Pop implements heap.Interface.
func (h *inputs) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = input{}
	*h = (*h)[:last]
	return x
}
