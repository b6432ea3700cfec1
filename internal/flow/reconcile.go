// SPDX-License-Identifier: Apache-2.0

package flow

// Reconcile drops the open sockets that the kernel side does not know any more and
// returns how many: their close was lost. The ids are those it knows, and began is the
// boot time in nanoseconds from before it was asked: whoever is younger stays. It is for
// when all events from before that have been applied.
//
// Where the kernel side answers by descriptors, this also drops a few that live on
// without: in a listener's queue, closed by their process but not yet by TCP, or the
// kernel's own. They come back with their next event and still make all their records,
// without the peer.
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
