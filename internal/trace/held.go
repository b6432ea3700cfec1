// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// Held is what a map of a script holds at a moment.
type Held struct {
	Name  string  // with @
	Value bt.Type // what the values are
	// Entries in the order in which they are shown, the greatest last. Histograms have all
	// buckets up to the last that counts something.
	Entries []render.Entry
	// Left is how many more there are.
	Left int
}

// Held reads the script's maps, of each at most so many entries. It may be called from any
// goroutine, also while Run runs; once the script is closed there are none.
func (s *Session) Held(most int) ([]Held, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.closed {
		return nil, nil
	}
	if s.reader == nil {
		reader := *s.decoder
		reader.names, reader.whole = newNames(s.host, s.options.Identity), true
		s.reader = &reader
	}
	var all []Held
	for _, m := range s.userMaps() {
		data, left, err := s.reader.read(m, most, false)
		if err != nil {
			return nil, err
		}
		all = append(all, Held{Name: m.Name, Value: m.Value, Entries: data.Entries, Left: left})
	}
	return all, nil
}
