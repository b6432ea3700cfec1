// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// open makes sure of a log to write to. Where records are missing in the log that is open, the
// process table follows: it cannot be made of what is there.
func (s *Store) open() error {
	switch {
	case !s.read:
		return s.recover()
	case s.log == nil:
		return s.begin()
	}
	return s.snapshot()
}

// recover reads the directory and goes on with the newest log.
func (s *Store) recover() error {
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make disk log: %w", err)
	}
	removeTemporary(s.opts.Dir)
	var err error
	if s.periods, err = readCatalog(s.opts.Dir); err != nil {
		return err
	}
	if s.periods, err = s.dropBegun(s.periods); err != nil {
		return err
	}
	s.read, s.lastSeq = true, map[string]uint64{}
	for i, p := range s.periods {
		s.lastID = max(s.lastID, p.id)
		if !p.log {
			continue
		}
		good, err := s.scan(p)
		switch {
		case err != nil:
			p.lost = err
			s.opts.Logger.Error("a log of the disk log cannot be read", "error", err)
		case i == len(s.periods)-1 && p.bytes < s.logBytes():
			if err := s.resume(p, good); err != nil {
				return err
			}
		}
	}
	s.findGaps()
	s.notifyCloser()
	return s.begin()
}

// dropBegun drops the newest log if it has not even a header: the agent ended while it began
// it, and there is nothing in it.
func (s *Store) dropBegun(periods []*period) ([]*period, error) {
	if len(periods) == 0 {
		return periods, nil
	}
	last := periods[len(periods)-1]
	s.lastID = last.id
	if !last.log || last.bytes >= int64(fileHeader) {
		return periods, nil
	}
	s.health.addDamage(Damage{Bytes: uint64(last.bytes)})
	if err := os.Remove(filepath.Join(s.opts.Dir, logName(last.id))); err != nil {
		return nil, fmt.Errorf("remove a log that was only begun: %w", err)
	}
	return periods[:len(periods)-1], nil
}

// scan finds out what a log holds, and counts what of it is damaged.
func (s *Store) scan(p *period) (good int64, err error) {
	path := filepath.Join(s.opts.Dir, logName(p.id))
	d, good, err := scanLogFile(path, func(r stored) error {
		h, err := r.head()
		if err != nil {
			return nil
		}
		p.span.add(h.time)
		if string(h.boot) == s.opts.BootID {
			s.lastSeq[string(h.kind)] = max(s.lastSeq[string(h.kind)], h.seq)
		}
		return nil
	})
	if errors.Is(err, errNoLog) {
		d.Bytes = uint64(p.bytes)
	}
	s.health.addDamage(d)
	if d.any() {
		s.opts.Logger.Warn("the end of a log was torn, or it is damaged", "log", path, "bytes", d.Bytes, "records", d.Records)
	}
	return good, err
}

// resume goes on writing to a log. A torn end is cut off; damage before whole frames
// stays, and readers pass over it.
func (s *Store) resume(p *period, good int64) error {
	l, err := openLog(s.opts.Dir, p.id, max(good, int64(fileHeader)), p.span)
	if err != nil {
		return err
	}
	s.log = l
	return s.snapshot()
}

// begin opens a log if none is open.
func (s *Store) begin() error {
	if s.log != nil {
		return nil
	}
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make disk log: %w", err)
	}
	l, err := openLog(s.opts.Dir, s.lastID+1, 0, nothing)
	if err != nil {
		return err
	}
	s.lastID++
	s.log = l
	s.periods = append(s.periods, &period{id: l.id, log: true, span: nothing})
	return s.snapshot()
}

// snapshot writes the process table: each period can be read without those before it.
func (s *Store) snapshot() error {
	if s.opts.Processes == nil {
		return nil
	}
	for _, r := range s.opts.Processes() {
		if err := s.log.addHidden(r); err != nil {
			s.opts.Logger.Error("a process was not stored", "error", err)
		}
		if len(s.log.encoder.buf) >= frameBytes {
			if err := s.log.flush(); err != nil {
				return err
			}
		}
	}
	return s.log.flush()
}
