// SPDX-License-Identifier: Apache-2.0

package event

import skepv1 "github.com/skep-io/skep/api/skep/v1"

// Tail keeps the last records that it is given, as a Cursor with Last does.
type Tail struct {
	// Size is how many it keeps of the records that count.
	Size int
	// Counts says which do. Those that do not are kept with the ones that they lie between.
	Counts func(*skepv1.Record) bool

	kept    []*skepv1.Record
	counted int
}

// Add takes the next record. Its error is always nil.
func (t *Tail) Add(r *skepv1.Record) error {
	t.kept = append(t.kept, r)
	if t.Counts(r) {
		t.counted++
	}
	for t.counted > t.Size || t.counted == t.Size && len(t.kept) > 0 && !t.Counts(t.kept[0]) {
		t.drop()
	}
	return nil
}

// drop lets go of the oldest record.
func (t *Tail) drop() {
	if t.Counts(t.kept[0]) {
		t.counted--
	}
	t.kept[0] = nil
	t.kept = t.kept[1:]
}

// Records are those that are kept, oldest first.
func (t *Tail) Records() []*skepv1.Record { return t.kept }

// Counted is how many of them count.
func (t *Tail) Counted() int { return t.counted }
