// SPDX-License-Identifier: Apache-2.0

package flow

// Reconcile drops the open sockets that a scan has not met and returns how many: the
// close of most of them was lost. The ids are what the scan met, and began is the
// boot time in nanoseconds from before it: whoever is younger stays.
//
// A scan goes by descriptors, so this also drops a few that live on without: in a
// listener's queue, closed by their process but not yet by TCP, or the kernel's own.
// They come back with their next event and still make all their records, without the
// peer. So it is for after a loss, and after all events from before the scan's end.
func (t *Table) Reconcile(ids map[uint64]struct{}, began uint64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for id, c := range t.open {
		if _, met := ids[id]; met || c.socket.OpenedNS >= began {
			continue
		}
		t.leave(c)
		if c.other != nil { // whose real other end may still come
			c.other.other, c.other = nil, nil
		}
		n++
	}
	return n
}
