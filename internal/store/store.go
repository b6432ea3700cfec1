// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// Limits on a period. A log that is old is closed early only if that is worth its files.
const (
	maxLogBytes = 32 << 20
	minLogBytes = 1 << 20
	oldLog      = time.Hour
	oldestLog   = 24 * time.Hour
)

const (
	syncEvery = time.Second
	// lull is how long the writer lets records gather: they are in memory meanwhile, and
	// each write costs about as much as thirty of them.
	lull = 50 * time.Millisecond
	// retryAfter is how long nothing is tried after the disk has refused.
	retryAfter = 2 * time.Second
)

// Options are the parameters of a Store.
type Options struct {
	// Dir is the directory of the disk log; it is made.
	Dir string
	// MaxBytes and MaxAge bound what is kept; 0 is no bound. The oldest goes first.
	MaxBytes int64
	MaxAge   time.Duration
	// LogBytes is the size at which a log is closed. 0 means a sixteenth of MaxBytes, but
	// from 1 to 32 MiB.
	LogBytes int64
	// Log is what is stored.
	Log *event.Log
	// Close makes the segments of a period, as CloseLog does, which is the default. It is
	// called from a goroutine of its own.
	Close func(ctx context.Context, dir string, id uint64) (Damage, error)
	// Sync makes a log durable, as fdatasync(2) does, which is the default.
	Sync func(fd int) error
	// Processes returns the process table as records of kind "process": see Snapshots.
	Processes func() []*skepv1.Record
	// BootID is the boot that goes on, and Numbered the last number that each kind had
	// before the first record of Log: those that the store lacks of them are Gaps. Numbers
	// up to Begun were given to nothing.
	BootID   string
	Numbered map[string]uint64
	Begun    uint64
	Logger   *slog.Logger
}

// Store is the disk log of an agent.
type Store struct {
	opts Options

	health health

	// mu is held across I/O. Who must not wait for a disk asks health.
	mu       sync.Mutex
	periods  []*period // oldest first; the last one is that of log, if that is open
	log      *log
	cursor   *event.Cursor
	position event.Position // up to where the event log has been stored, or is lost
	lastID   uint64
	read     bool // what is in the directory is known
	retryAt  time.Time
	lastSeq  map[string]uint64 // of this boot, by kind

	sealed chan struct{} // there may be a period to close
	begun  chan struct{} // closed when the directory was looked at for the first time
}

// New makes a store. It does no I/O.
func New(opts Options) (*Store, error) {
	if opts.Dir == "" || opts.Log == nil {
		return nil, errors.New("make store: a directory and an event log are needed")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Close == nil {
		opts.Close = CloseLog
	}
	if opts.Sync == nil {
		opts.Sync = unix.Fdatasync
	}
	return &Store{opts: opts, sealed: make(chan struct{}, 1), begun: make(chan struct{}), health: health{damaged: map[string]bool{}}}, nil
}

// Open begins to take records: from now on none that is appended to the event log is
// missed. It does no I/O, which Run begins with.
func (s *Store) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = s.opts.Log.Subscribe(event.SubscribeOptions{Who: "disk log"})
	s.position = s.cursor.Position()
}

// Behind is how many records of the event log are still to be stored.
func (s *Store) Behind() uint64 { return s.cursor.Behind() }

// Begun is closed when Run has looked at the directory: what then is to be told of Gaps is known,
// and nothing of the event log is stored before.
func (s *Store) Begun() <-chan struct{} { return s.begun }

// Run stores records until the event log is closed and read to its end; it does not end
// before, so that the agent's own stop is stored too. ctx ends what goes on beside it.
func (s *Store) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { s.sync(ctx) })
	beside.Go(func() { s.close(ctx) })
	defer s.cursor.Close()
	s.take(nil, event.Counts{}) // A directory that cannot be used is no error: it is tried again.
	close(s.begun)
	buf := make([]*skepv1.Record, 512)
	for {
		n, lost, err := s.cursor.Next(context.WithoutCancel(ctx), buf)
		s.take(buf[:n], lost)
		clear(buf)
		if err != nil {
			return s.end(err)
		}
		if n < len(buf) {
			time.Sleep(lull)
		}
	}
}

func (s *Store) end(err error) error {
	s.mu.Lock()
	defer s.unlock()
	if s.log != nil {
		if err := errors.Join(s.log.file.Sync(), s.putDown()); err != nil {
			s.fail(err)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// take stores a batch.
func (s *Store) take(records []*skepv1.Record, overtaken event.Counts) {
	s.health.lose(overtaken)
	s.mu.Lock()
	defer s.unlock()
	if s.ready() {
		if err := s.write(records); err != nil {
			s.fail(err)
		}
	} else {
		s.health.lose(countsOf(records))
	}
	if s.Failing() == nil {
		s.position = s.cursor.Position()
	}
}

// ready says whether there is a log to write to; it tries to open one if it is time to.
func (s *Store) ready() bool {
	if s.read && s.log != nil && s.Failing() == nil {
		return true
	}
	if time.Now().Before(s.retryAt) {
		return false
	}
	if err := s.open(); err != nil {
		s.fail(err)
		return false
	}
	return true
}

// write appends records and counts those that are lost.
func (s *Store) write(records []*skepv1.Record) error {
	for i, r := range records {
		k, known := event.KindOf(r)
		if !known {
			continue
		}
		if err := s.log.add(k, r); err != nil {
			var failed *writeError
			if !errors.As(err, &failed) {
				s.opts.Logger.Error("a record was not stored", "kind", r.Kind, "error", err)
				s.health.lose(countsOf(records[i : i+1]))
				continue
			}
			s.health.lose(countsOf(records[i+1:]))
			return err
		}
	}
	if err := s.log.flush(); err != nil {
		return err
	}
	if s.health.fail(nil) {
		s.opts.Logger.Info("the disk log is written again")
	}
	if s.full() {
		return s.rotate()
	}
	return nil
}

func countsOf(records []*skepv1.Record) (counts event.Counts) {
	for _, r := range records {
		if k, ok := event.KindOf(r); ok {
			counts[k]++
		}
	}
	return counts
}

// fail notes that the disk has refused, and what was lost by it.
func (s *Store) fail(err error) {
	var failed *writeError
	if errors.As(err, &failed) {
		s.health.lose(failed.lost)
	}
	if s.health.fail(err) {
		s.opts.Logger.Error("the disk log is not written; what happens meanwhile is counted as lost", "directory", s.opts.Dir, "error", err)
	}
	s.retryAt = time.Now().Add(retryAfter)
}

// logBytes is how large a log may get.
func (s *Store) logBytes() int64 {
	switch {
	case s.opts.LogBytes > 0:
		return s.opts.LogBytes
	case s.opts.MaxBytes == 0:
		return maxLogBytes
	}
	return min(maxLogBytes, max(minLogBytes, s.opts.MaxBytes/16))
}

func (s *Store) full() bool {
	age := time.Since(s.log.opened)
	return s.log.size >= s.logBytes() || age > oldLog && s.log.size >= minLogBytes || age > oldestLog
}

// rotate ends the period and begins the next.
func (s *Store) rotate() error {
	err := s.opts.Sync(int(s.log.file.Fd()))
	if err != nil {
		err = &writeError{fmt.Errorf("synchronise log: %w", err), s.log.unsynced}
	}
	s.seal()
	return errors.Join(err, s.begin())
}

// seal gives the log up to be closed.
func (s *Store) seal() {
	_ = s.putDown() // what matters was said by the synchronisation
	s.notifyCloser()
}

// putDown ends writing to the log; its period knows what it holds.
func (s *Store) putDown() error {
	p := s.periods[len(s.periods)-1]
	p.span, p.bytes = s.log.span, s.log.size
	err := s.log.close()
	s.log = nil
	return err
}

// sync makes durable what was written, each second.
func (s *Store) sync(ctx context.Context) {
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.syncOnce()
			s.retain(time.Now())
		}
	}
}

// syncOnce does not hold up the writer: it synchronises a second descriptor of the file.
func (s *Store) syncOnce() {
	s.mu.Lock()
	l := s.log
	if l == nil || !l.dirty {
		s.mu.Unlock()
		return
	}
	unsynced := l.unsynced
	l.unsynced, l.dirty = event.Counts{}, false
	fd, err := unix.FcntlInt(l.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	s.mu.Unlock()
	if err == nil {
		err = errors.Join(s.opts.Sync(fd), unix.Close(fd))
	}
	if err == nil {
		return
	}
	// The kernel may have dropped the pages: nothing written since the last time is sure.
	s.mu.Lock()
	defer s.unlock()
	s.fail(&writeError{fmt.Errorf("synchronise log: %w", err), unsynced})
	if s.log == l {
		s.seal()
	}
}

func (s *Store) notifyCloser() {
	select {
	case s.sealed <- struct{}{}:
	default:
	}
}

// bytesOf is the size of a period now.
func (s *Store) bytesOf(p *period) int64 {
	if s.log != nil && p.id == s.log.id {
		return s.log.size
	}
	return p.bytes
}

func (s *Store) active(p *period) bool { return s.log != nil && p.id == s.log.id }

func (s *Store) remaining() time.Duration { return cmp.Or(s.opts.MaxAge, 1<<62) }
