// SPDX-License-Identifier: Apache-2.0

package vm

import "iter"

// ring is a ring buffer, or the perf events of all processors: what was written and not
// taken yet.
type ring struct {
	m       *Machine
	spec    MapSpec
	records []*record
	// Positions in bytes, with headers.
	produced, consumed uint64
}

type record struct {
	region    *Region
	submitted bool
	discarded bool
}

const ringHeader = 8

func ringSize(n int) uint64 { return uint64(n+ringHeader+7) &^ 7 }

// reserve gives a record of so many bytes, which hold nothing yet; nil if it does not fit.
func (r *ring) reserve(size int) *Region {
	if size < 0 || size > r.spec.MaxEntries || r.produced-r.consumed+ringSize(size) > uint64(r.spec.MaxEntries) {
		return nil
	}
	r.produced += ringSize(size)
	made := r.m.Region(Memory, "record of "+r.spec.Name, size)
	made.defined = make([]bool, size)
	r.records = append(r.records, &record{region: made})
	return made
}

// finish submits or discards a record; false if it is none of this ring's.
func (r *ring) finish(region *Region, discard bool) bool {
	for _, rec := range r.records {
		if rec.region == region && !rec.submitted {
			rec.submitted, rec.discarded = true, discard
			region.Kill("the record was submitted or discarded")
			return true
		}
	}
	return false
}

func (r *ring) add(data []byte) {
	made := &Region{Data: append([]byte(nil), data...)}
	r.records = append(r.records, &record{region: made, submitted: true})
}

// take removes what was submitted, up to the first that was not.
func (r *ring) take() [][]byte {
	var out [][]byte
	for len(r.records) > 0 && r.records[0].submitted {
		rec := r.records[0]
		r.records = r.records[1:]
		r.consumed += ringSize(len(rec.region.Data))
		if !rec.discarded {
			out = append(out, rec.region.Data)
		}
	}
	return out
}

func (*ring) lookup([]byte, int) *Region               { return nil }
func (*ring) update([]byte, []byte, uint64, int) int64 { return -einval }
func (*ring) remove([]byte) int64                      { return -einval }
func (*ring) keys() iter.Seq[[]byte]                   { return noKeys }
