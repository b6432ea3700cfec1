// SPDX-License-Identifier: Apache-2.0

package dns

import "encoding/binary"

// Bounds of what is kept of messages that are not complete yet.
const (
	maxStreams  = 512
	maxBuffered = 1 << 20 // bytes, of all streams together
)

// streamKey names one direction of a TCP connection.
type streamKey struct {
	socket   uint64
	incoming bool
}

// stream puts together the messages that go one way through a TCP connection: each
// behind its length in two bytes (RFC 1035 4.2.2), in whatever segments.
type stream struct {
	next   uint32 // sequence number that is expected
	buffer []byte // of a message that is not complete
	skip   int    // bytes that still come of a message that was delivered in part
	seenNS uint64
}

// streams are those of all connections. A connection that was there before is taken up
// at the next segment, as if a message began there: mostly one does.
type streams struct {
	open     map[streamKey]*stream
	buffered int
	// lost counts messages that were given up.
	lost uint64
}

// segment is what one TCP segment carries: length bytes, the first of which are data.
type segment struct {
	sequence uint32
	data     []byte
	length   int
	ns       uint64
}

// feed hands each message that the segment completes to deliver, with as many of its
// bytes as are known and with its length.
func (t *streams) feed(key streamKey, g segment, deliver func(wire []byte, length int)) {
	s := t.open[key]
	if s == nil {
		t.makeRoom()
		s = &stream{next: g.sequence}
		t.open[key] = s
	}
	s.seenNS = g.ns
	end := g.sequence + uint32(g.length)
	switch ahead := int(int32(g.sequence - s.next)); {
	case ahead > 0: // what lies between is not known, nor where the next message begins
		t.giveUp(s)
	case -ahead >= g.length: // sent again
		return
	case ahead < 0: // sent again, and more
		g.length += ahead
		g.data = g.data[min(-ahead, len(g.data)):]
	}
	s.next = end
	t.split(s, g, deliver)
}

// split takes the messages out of what is in order.
func (t *streams) split(s *stream, g segment, deliver func(wire []byte, length int)) {
	known, length := g.data, g.length
	if n := min(s.skip, length); n > 0 {
		s.skip -= n
		known, length = known[min(n, len(known)):], length-n
	}
	if len(s.buffer) > 0 {
		known, length = append(s.buffer, known...), len(s.buffer)+length
		t.keep(s, nil)
	}
	for length > 0 {
		if len(known) < 2 {
			break
		}
		size := 2 + int(binary.BigEndian.Uint16(known))
		switch {
		case size <= len(known):
			deliver(known[2:size], size-2)
			known, length = known[size:], length-size
			continue
		case len(known) < length: // the rest was not captured
			deliver(known[2:], size-2)
			s.skip = max(0, size-length)
			known, length = nil, max(0, length-size)
		}
		break
	}
	switch {
	case len(known) < length: // a message begins in what was not captured
		t.giveUp(s)
	case len(known) > 0:
		t.keep(s, known)
	}
}

// keep replaces what is buffered of a stream, or gives it up if there is no room.
func (t *streams) keep(s *stream, known []byte) {
	t.buffered -= len(s.buffer)
	s.buffer = nil
	if t.buffered+len(known) > maxBuffered {
		t.lost++
		return
	}
	t.buffered += len(known)
	s.buffer = append(s.buffer, known...)
}

// giveUp forgets what is known of a message; the next one begins with the next segment.
func (t *streams) giveUp(s *stream) {
	t.lost++
	t.keep(s, nil)
	s.skip = 0
}

// makeRoom forgets the stream that was silent for longest, if there are too many.
func (t *streams) makeRoom() {
	if len(t.open) < maxStreams {
		return
	}
	var oldest streamKey
	for key, s := range t.open {
		if o := t.open[oldest]; o == nil || s.seenNS < o.seenNS {
			oldest = key
		}
	}
	t.forget(oldest)
}

// expire forgets streams that were silent since before a time.
func (t *streams) expire(beforeNS uint64) {
	for key, s := range t.open {
		if s.seenNS < beforeNS {
			t.forget(key)
		}
	}
}

func (t *streams) forget(key streamKey) {
	s := t.open[key]
	if len(s.buffer) > 0 {
		t.giveUp(s)
	}
	delete(t.open, key)
}
