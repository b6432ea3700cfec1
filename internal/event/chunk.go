// SPDX-License-Identifier: Apache-2.0

package event

import skepv1 "github.com/skep-io/skep/api/skep/v1"

// chunkLen is the number of records of a chunk: small enough that dropping the
// oldest one frees little history, large enough that its counts cost nothing.
const chunkLen = 256

// chunk is a run of records. All but the last chunk of a log are full, so the
// chunk of a position is found by arithmetic.
type chunk struct {
	first   uint64 // position of records[0]
	before  Counts // what tell makes of the records before first
	n       int
	bytes   int
	kinds   [chunkLen]Kind
	records [chunkLen]*skepv1.Record
}

// countsAt is what a reader of all that is before records[i] has been told.
func (c *chunk) countsAt(i int) Counts {
	counts := c.before
	for j, k := range c.kinds[:i] {
		tell(&counts, k, c.records[j])
	}
	return counts
}

// placeStore is where records are lost to the disk log only: the stream had them.
const placeStore = "store"

// tell adds what a reader of a record learns of: the record itself and, of a loss that
// leaves a gap in the numbers of the stream, those that are missing. So whoever misses the
// record of a loss does not miss the loss.
func tell(counts *Counts, k Kind, r *skepv1.Record) {
	counts[k]++
	if k != Loss {
		return
	}
	loss := r.GetLoss()
	if of, ok := LookupKind(loss.GetLostKind()); ok && loss.GetLastSeq() != 0 && loss.GetPlace() != placeStore {
		counts[of] += loss.GetCount()
	}
}
