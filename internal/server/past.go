// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// Store is the agent's disk log.
type Store interface {
	// Past holds on to what is stored now.
	Past() Past
	// ProcessesAt returns the processes that lived at a time, and the files that could not be
	// read for it, and why.
	ProcessesAt(ctx context.Context, at time.Time) (all []*skepv1.ProcessInfo, missing []string, err error)
}

// Past is what a Store held at one moment. Zero times are no bound.
type Past interface {
	// Position is where the event log goes on behind it.
	Position() event.Position
	// Read emits the records that match, in the order of time. missing are the files that
	// could not be read, and why.
	Read(ctx context.Context, from, until time.Time, filter *filters.Filter, emit func(*skepv1.Record) error) (missing []string, err error)
	// Last returns the last n of them that count, see filters.Filter.Counts.
	Last(ctx context.Context, n int, from, until time.Time, filter *filters.Filter) (records []*skepv1.Record, missing []string, err error)
	// Count tells of each of them, the latest files first, and only of losses what they are. If
	// ctx ends before, counted is from when on all was counted, else the time of the oldest record.
	Count(ctx context.Context, from, until time.Time, filter *filters.Filter, add func(kind string, ns int64, loss *skepv1.Record)) (counted time.Time, missing []string, err error)
	// Export writes them as one Parquet file, and tells how many there are so far.
	Export(ctx context.Context, from, until time.Time, filter *filters.Filter, out io.Writer, progress func(records uint64)) (missing []string, err error)
	Close()
}

// maxLast bounds the records that are held in memory to find the last ones.
const maxLast = 100_000

// window is the span of wall time that a request asks for; zero times are no bound.
type window struct{ from, until time.Time }

func windowOf(req *skepv1.ObserveRequest) (w window, err error) {
	invalid := func(text string) (window, error) {
		return w, connect.NewError(connect.CodeInvalidArgument, errors.New(text))
	}
	since, from, until := req.GetSince(), req.GetFrom(), req.GetUntil()
	switch {
	case since != nil && from != nil:
		return invalid("since and from say the same: give one of the two")
	case since != nil && (since.CheckValid() != nil || since.AsDuration() < 0):
		return invalid("since must not be negative: it is how old the oldest record may be")
	case from != nil && from.CheckValid() != nil, until != nil && until.CheckValid() != nil:
		return invalid("from and until must be times from year 1 to 9999")
	case until != nil && req.GetFollow():
		return invalid("until ends the past, follow goes on after it: give one of the two")
	}
	if since != nil {
		w.from = time.Now().Add(-since.AsDuration())
	}
	if from != nil {
		w.from = from.AsTime()
	}
	if until != nil {
		w.until = until.AsTime()
		if w.until.Before(w.from) {
			return invalid(fmt.Sprintf("until (%s) is before since (%s)", w.until.Format(time.RFC3339), w.from.Format(time.RFC3339)))
		}
	}
	return w, nil
}

// stored sends what of the past only the disk log has, and puts the cursor behind it. It
// does nothing where memory has all that is asked for.
func (o *observation) stored(ctx context.Context, s *Server, filter *filters.Filter, opts event.SubscribeOptions, w window) error {
	if s.deps.Store == nil || !w.beyond(s.deps.Log, opts, o.cursor) {
		return nil
	}
	if opts.Last > maxLast {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("last: %d records are more than the %d that can be searched for on disk; ask for a time instead", opts.Last, maxLast))
	}
	done, err := s.search(ctx)
	if err != nil {
		return err
	}
	defer done()
	past := s.deps.Store.Past()
	defer past.Close()
	o.cursor.Close()
	position, last := past.Position(), opts.Last
	opts.From, opts.Last = &position, 0
	o.cursor = s.deps.Log.Subscribe(opts)
	if last > 0 {
		return o.storedLast(ctx, past, last, filter, w)
	}
	missing, err := past.Read(ctx, w.from, w.until, filter, o.add)
	if err != nil {
		return err
	}
	o.batch = append(o.batch, o.missing(missing)...)
	return o.sendBatch()
}

// search takes one of the places of those who read the disk log, until done.
func (s *Server) search(ctx context.Context) (done func(), err error) {
	uid := callerFrom(ctx).uid
	if !s.searches.acquire(uid) {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf(
			"too many searches of the disk log are under way: at most %d of a user and %d in all; wait for one to end", maxSearchesPerUID, maxSearches))
	}
	return func() { s.searches.release(uid) }, nil
}

// beyond says whether what is asked for may reach further back than memory does.
func (w window) beyond(log *event.Log, opts event.SubscribeOptions, c *event.Cursor) bool {
	if w.from.IsZero() {
		return c.Past() < opts.Last
	}
	return !log.Reaches(w.from) && (opts.Last == 0 || c.Past() < opts.Last)
}

// storedLast sends the last records: those of the disk, and behind them those of memory.
func (o *observation) storedLast(ctx context.Context, past Past, n int, filter *filters.Filter, w window) error {
	records, missing, err := past.Last(ctx, n, w.from, w.until, filter)
	last := event.Tail{Size: n, Counts: filter.Counts, Limit: event.MaxTailBytes}
	for {
		for i := 0; i < len(records) && err == nil; i++ {
			err = last.Add(records[i])
		}
		if errors.Is(err, event.ErrTailTooLarge) {
			return connect.NewError(connect.CodeResourceExhausted, err)
		}
		if err != nil {
			return err
		}
		if o.cursor.Live() {
			return o.sendAll(append(o.missing(missing), last.Records()...))
		}
		records, err = o.next(ctx)
	}
}

// add sends a record of the disk log, once a batch of them is full.
func (o *observation) add(r *skepv1.Record) error {
	o.batch = append(o.batch, r)
	o.batchBytes += event.Size(r)
	if len(o.batch) < maxBatchRecords && o.batchBytes < maxBatchBytes {
		return nil
	}
	return o.sendBatch()
}

func (o *observation) sendBatch() error {
	err := o.sendAll(o.batch)
	clear(o.batch)
	o.batch, o.batchBytes = o.batch[:0], 0
	return err
}

// missing are the records that say which files this answer had to do without.
func (o *observation) missing(files []string) (records []*skepv1.Record) {
	for _, file := range files {
		now, bootNS := clocks()
		records = append(records, &skepv1.Record{
			NodeId: o.node.ID, BootId: o.node.BootID, NodeName: o.node.Name, Kind: event.Loss.String(), Time: now, BootNs: bootNS,
			Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "unknown", Place: "store", Detail: "not in this answer: " + file}},
		})
	}
	return records
}

// Export implements the AgentService.
func (s *Server) Export(ctx context.Context, req *skepv1.ExportRequest, stream *connect.ServerStream[skepv1.ExportResponse]) error {
	if s.deps.Store == nil {
		return errNoStore()
	}
	if !s.exports.acquire(0) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("another export is running, or just ending: it takes much memory, so there is one at a time; try again when it is done"))
	}
	defer s.exports.release(0)
	filter, err := s.compile(req.GetFilter())
	if err != nil {
		return err
	}
	w, err := windowOf(&skepv1.ObserveRequest{From: req.GetFrom(), Until: req.GetUntil()})
	if err != nil {
		return err
	}
	past := s.deps.Store.Past()
	defer past.Close()
	out := &exportStream{send: func(m *skepv1.ExportResponse) error {
		// The next export waits for this one: a client that does not read ends it. Between
		// messages there is no deadline, for the disk may take its time.
		control := callFrom(ctx).control
		control.SetWriteDeadline(time.Now().Add(s.answerTimeout))
		defer control.SetWriteDeadline(time.Time{})
		return stream.Send(m)
	}}
	defer func() { s.filterFailures.Add(filter.Failures()) }()
	missing, err := past.Export(ctx, w.from, w.until, filter, out, func(n uint64) { out.records = n })
	if err == nil {
		err = out.flush(missing, filter.Undecided(0))
	}
	return finished(ctx, err)
}

func errNoStore() error {
	return connect.NewError(connect.CodeFailedPrecondition, errors.New("this agent keeps no disk log: it is private, or store.enabled is false"))
}

// exportStream sends a file in messages.
type exportStream struct {
	send    func(*skepv1.ExportResponse) error
	buf     []byte
	records uint64
}

const exportChunk = 256 << 10

// Write implements io.Writer.
func (e *exportStream) Write(p []byte) (int, error) {
	e.buf = append(e.buf, p...)
	if len(e.buf) < exportChunk {
		return len(p), nil
	}
	return len(p), e.flush(nil, nil)
}

func (e *exportStream) flush(missing []string, undecided *skepv1.Undecided) error {
	for len(e.buf) > maxBatchBytes {
		if err := e.send(&skepv1.ExportResponse{Data: e.buf[:maxBatchBytes], Records: e.records}); err != nil {
			return err
		}
		e.buf = e.buf[maxBatchBytes:]
	}
	err := e.send(&skepv1.ExportResponse{Data: e.buf, Records: e.records, Missing: missing, Undecided: undecided})
	e.buf = nil
	return err
}

// processesAt is the table of ListProcesses for a time in the past, with the ancestors in it.
func (s *Server) processesAt(ctx context.Context, req *skepv1.ListProcessesRequest) (*skepv1.ListProcessesResponse, error) {
	spec := req.GetFilter()
	switch {
	case s.deps.Store == nil:
		return nil, errNoStore()
	case req.GetAt().CheckValid() != nil:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("at must be a time from year 1 to 9999"))
	case req.GetExited(), len(spec.GetAddrs())+len(spec.GetPorts())+len(spec.GetKinds()) > 0:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("a table of the past has live processes only, without their connections"))
	}
	done, err := s.search(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	all, missing, err := s.deps.Store.ProcessesAt(ctx, req.GetAt().AsTime())
	if err != nil {
		return nil, connect.NewError(connect.CodeNotFound, err)
	}
	byExec := map[string]*skepv1.Process{}
	for _, p := range all {
		byExec[p.GetProcess().GetExecId()] = p.GetProcess()
	}
	filter, err := filters.Compile(spec, filters.Deps{Ancestors: func(execID string, yield func(*skepv1.Process) bool) {
		for p := byExec[byExec[execID].GetParentExecId()]; p != nil && yield(p); p = byExec[p.GetParentExecId()] {
		}
	}})
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	res := &skepv1.ListProcessesResponse{Total: uint64(len(all)), Missing: missing}
	for _, p := range all {
		if filter.Match(recordOfProcess(p)) {
			res.Processes = append(res.Processes, p)
		}
	}
	res.Undecided = filter.Undecided(0)
	s.filterFailures.Add(filter.Failures())
	return res, nil
}
