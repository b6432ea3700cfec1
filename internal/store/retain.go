// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// closeAgain is how long a period that could not be closed is left as it is.
const closeAgain = time.Minute

// close turns sealed logs into segments, oldest first. One that cannot be closed does not
// hold up those behind it.
func (s *Store) close(ctx context.Context) {
	for ctx.Err() == nil {
		if p := s.nextSealed(time.Now()); p != nil {
			if err := s.closePeriod(ctx, p); err != nil && ctx.Err() == nil {
				s.opts.Logger.Error("a log was not closed into segments; it stays as it is for now", "error", err)
				s.leave(p, time.Now().Add(closeAgain))
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.sealed:
		case <-time.After(closeAgain):
		}
	}
}

func (s *Store) nextSealed(now time.Time) *period {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.periods {
		if p.log && !s.active(p) && !now.Before(p.leaveUntil) {
			return p
		}
	}
	return nil
}

func (s *Store) leave(p *period, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.leaveUntil = until
}

func (s *Store) closePeriod(ctx context.Context, p *period) error {
	d, err := s.opts.Close(ctx, s.opts.Dir, p.id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.unlock()
	if err := os.Remove(filepath.Join(s.opts.Dir, logName(p.id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.health.addDamage(Damage{Records: d.Records}) // its bytes are counted since the log was scanned
	now, err := readCatalog(s.opts.Dir)
	if err != nil {
		return err
	}
	closed := &period{id: p.id, span: nothing}
	for _, c := range now {
		if c.id == p.id {
			closed = c
		}
	}
	for i := range s.periods {
		if s.periods[i].id == p.id {
			s.periods[i] = closed // the old one is in the hands of readers
			return nil
		}
	}
	return s.remove(closed) // it had to go meanwhile
}

// retain removes what is too old or too much, oldest first; never the log that is being
// written.
func (s *Store) retain(now time.Time) {
	s.mu.Lock()
	defer s.unlock()
	var total int64
	for _, p := range s.periods {
		total += s.bytesOf(p)
	}
	oldest := now.Add(-s.remaining()).UnixNano()
	for len(s.periods) > 0 {
		p := s.periods[0]
		tooMuch := s.opts.MaxBytes > 0 && total > s.opts.MaxBytes
		tooOld := s.opts.MaxAge > 0 && p.span != nothing && p.span.to < oldest
		empty := !p.log && len(p.segments) == 0
		if s.active(p) || !tooMuch && !tooOld && !empty {
			return
		}
		if err := s.remove(p); err != nil {
			s.opts.Logger.Error("old records were not removed", "error", err)
			return
		}
		total -= p.bytes
		s.periods = s.periods[1:]
	}
}

func (s *Store) remove(p *period) (err error) {
	names := []string{}
	if p.log {
		names = append(names, logName(p.id))
	}
	for _, segment := range p.segments {
		names = append(names, segment.name)
	}
	for _, name := range names {
		if e := os.Remove(filepath.Join(s.opts.Dir, name)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
