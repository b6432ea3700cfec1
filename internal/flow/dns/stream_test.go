// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func newStreams() *streams { return &streams{open: map[streamKey]*stream{}} }

// framed are messages, each behind its length.
func framed(messages ...string) []byte {
	var b []byte
	for _, m := range messages {
		b = append(b, byte(len(m)>>8), byte(len(m)))
		b = append(b, m...)
	}
	return b
}

// piece is a segment of a stream: its bytes from and to, of which the last lost were not captured.
type piece struct{ from, to, lost int }

func TestStream(t *testing.T) {
	all := framed("first", "second!", strings.Repeat("x", 300), "last")
	end := len(all)
	for _, tt := range []struct {
		name   string
		pieces []piece
		want   string // the messages' lengths, with the known part where that is less
		lost   uint64
	}{
		{"one segment", []piece{{0, end, 0}}, "5 7 300 4", 0},
		{"a segment each", []piece{{0, 7, 0}, {7, 16, 0}, {16, 318, 0}, {318, end, 0}}, "5 7 300 4", 0},
		{"length by itself", []piece{{0, 1, 0}, {1, 2, 0}, {2, 7, 0}, {7, 9, 0}, {9, end, 0}}, "5 7 300 4", 0},
		{"sent again", []piece{{0, 7, 0}, {0, 7, 0}, {7, 20, 0}, {0, 30, 0}, {16, end, 0}, {0, end, 0}}, "5 7 300 4", 0},
		{"the end was not captured", []piece{{0, 100, 50}, {100, 318, 0}, {318, end, 0}}, "5 7 32/300 4", 0},
		{"not captured to the end of a message", []piece{{0, 318, 50}, {318, end, 0}}, "5 7 250/300 4", 0},
		{"not captured beyond the end", []piece{{0, 320, 50}, {320, end, 0}}, "5 7 252/300", 1},
		{"not even its length", []piece{{0, 100, 83}, {100, 318, 0}}, "5 7", 1},
		{"a hole", []piece{{0, 20, 0}, {30, 318, 0}, {318, end, 0}}, "5 7", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStreams()
			var got []string
			for i, p := range tt.pieces {
				g := segment{sequence: uint32(p.from) - 9, data: all[p.from : p.to-p.lost], length: p.to - p.from, ns: uint64(i)}
				s.feed(streamKey{socket: 1}, g, func(wire []byte, length int) {
					if len(wire) != length {
						got = append(got, fmt.Sprintf("%d/%d", len(wire), length))
						return
					}
					got = append(got, fmt.Sprint(length))
				})
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("messages %v, want %s", got, tt.want)
			}
			if s.lost != tt.lost {
				t.Errorf("%d lost, want %d", s.lost, tt.lost)
			}
		})
	}
}

// TestStreamAnySegments: however a stream is cut, and whatever comes twice, the messages
// are the same. Sequence numbers wrap on the way.
func TestStreamAnySegments(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var want []string
		for range 1 + random.IntN(20) {
			want = append(want, strings.Repeat("m", random.IntN(400)))
		}
		all := framed(want...)
		s, got := newStreams(), []string{}
		deliver := func(wire []byte, length int) {
			if len(wire) != length {
				t.Fatalf("%d bytes of %d", len(wire), length)
			}
			got = append(got, string(wire))
		}
		for at := 0; at < len(all); {
			n := min(1+random.IntN(500), len(all)-at)
			back := random.IntN(at + 1)
			if random.IntN(3) > 0 {
				back = 0
			}
			from := at - back
			s.feed(streamKey{}, segment{sequence: ^uint32(0) - 50 + uint32(from), data: all[from : at+n], length: n + back}, deliver)
			at += n
		}
		if !slices.Equal(got, want) || s.lost != 0 || s.buffered != 0 {
			t.Fatalf("%d messages of %d, %d lost, %d bytes left", len(got), len(want), s.lost, s.buffered)
		}
	}
}

func TestStreamBounds(t *testing.T) {
	s := newStreams()
	half := framed(strings.Repeat("x", 60000))[:50000]
	for i := range 2 * maxStreams {
		s.feed(streamKey{socket: uint64(i)}, segment{data: half, length: len(half), ns: uint64(i)}, func([]byte, int) { t.Error("half a message was delivered") })
		if len(s.open) > maxStreams || s.buffered > maxBuffered {
			t.Fatalf("%d streams, %d bytes", len(s.open), s.buffered)
		}
	}
	if s.lost < maxStreams {
		t.Errorf("%d of %d halves counted as lost", s.lost, 2*maxStreams)
	}
	s.expire(uint64(4 * maxStreams))
	if len(s.open) != 0 || s.buffered != 0 {
		t.Errorf("%d streams and %d bytes are left", len(s.open), s.buffered)
	}
}

// FuzzStream: segments with any numbers and lengths keep the books in order.
func FuzzStream(f *testing.F) {
	f.Add(framed("first", "second"), []byte{0, 4, 0, 4, 9, 0})
	f.Add(framed("first", "second"), []byte{0, 9, 0, 5, 12, 0}) // four bytes come twice
	f.Add(framed(strings.Repeat("x", 300)), []byte{0, 200, 100, 0, 0, 255})
	f.Add([]byte{0, 0, 0, 0, 255, 255}, []byte{0, 2, 0, 2, 4, 0, 250, 6, 1})
	f.Fuzz(func(t *testing.T, all, cuts []byte) {
		s := newStreams()
		for len(cuts) >= 3 {
			from, n, lost := int(cuts[0]), int(cuts[1]), int(cuts[2])
			cuts = cuts[3:]
			data := all[min(from, len(all)):min(from+n, len(all))]
			s.feed(streamKey{}, segment{sequence: uint32(from), data: data, length: len(data) + lost}, func(wire []byte, length int) {
				// Whatever is cut out or comes twice, all holds its bytes in a row, behind its length.
				if len(wire) > length || !bytes.Contains(all, append(binary.BigEndian.AppendUint16(nil, uint16(length)), wire...)) {
					t.Errorf("%q is delivered as the begin of a message of %d bytes, of %q", wire, length, all)
				}
			})
			if one := s.open[streamKey{}]; s.buffered != len(one.buffer) || one.skip < 0 || len(one.buffer) > 2+65535 {
				t.Fatalf("%d buffered, %+v", s.buffered, one)
			}
		}
	})
}
