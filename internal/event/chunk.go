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
	before  Counts // records of each kind before first
	n       int
	bytes   int
	kinds   [chunkLen]Kind
	records [chunkLen]*skepv1.Record
}

// countsAt is the number of records of each kind before records[i].
func (c *chunk) countsAt(i int) Counts {
	counts := c.before
	for _, k := range c.kinds[:i] {
		counts[k]++
	}
	return counts
}
