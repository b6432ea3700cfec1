// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// MaxTailBytes bounds what a search for the last records holds in memory, by Size.
const MaxTailBytes = 32 << 20

// ErrTailTooLarge is the error for more of the last records than can be held to find them.
var ErrTailTooLarge = errors.New("the last records that match take more memory than a search may: ask for fewer, or for a time instead")

// Tail keeps the last records that it is given, as a Cursor with Last does.
type Tail struct {
	// Size is how many it keeps of the records that count.
	Size int
	// Counts says which do. Those that do not are kept with the ones that they lie between.
	Counts func(*skepv1.Record) bool

	// Limit is how many bytes they may take.
	Limit int

	kept           []*skepv1.Record
	counted, bytes int
}

// Add takes the next record. It fails with ErrTailTooLarge.
func (t *Tail) Add(r *skepv1.Record) error {
	t.kept = append(t.kept, r)
	t.bytes += Size(r)
	if t.Counts(r) {
		t.counted++
	}
	for t.counted > t.Size || t.counted == t.Size && len(t.kept) > 0 && !t.Counts(t.kept[0]) {
		t.drop()
	}
	if t.bytes > t.Limit {
		return ErrTailTooLarge
	}
	return nil
}

// drop lets go of the oldest record.
func (t *Tail) drop() {
	if t.Counts(t.kept[0]) {
		t.counted--
	}
	t.bytes -= Size(t.kept[0])
	t.kept[0] = nil
	t.kept = t.kept[1:]
}

// Records are those that are kept, oldest first.
func (t *Tail) Records() []*skepv1.Record { return t.kept }

// Bytes is what the records take.
func (t *Tail) Bytes() int { return t.bytes }

// Counted is how many of them count.
func (t *Tail) Counted() int { return t.counted }
