// SPDX-License-Identifier: Apache-2.0

package vm

import "encoding/binary"

// trie answers with the longest prefix of a key. A hash of masked prefixes, asked from the
// longest on, answers as the kernel's trie does.
type trie struct {
	*hash
	bits uint32 // of the longest prefix
}

func newTrie(m *Machine, spec MapSpec) *trie {
	return &trie{newHash(m, spec, 1), uint32(8 * (spec.KeySize - 4))}
}

// masked is a key with what is behind its prefix cleared.
func masked(key []byte, length uint32) []byte {
	out := make([]byte, len(key))
	binary.LittleEndian.PutUint32(out, length)
	for i := range uint32(len(key) - 4) {
		switch left := int64(length) - int64(8*i); {
		case left >= 8:
			out[4+i] = key[4+i]
		case left > 0:
			out[4+i] = key[4+i] & (0xff << (8 - left))
		}
	}
	return out
}

func (t *trie) lookup(key []byte, cpu int) *Region {
	length := binary.LittleEndian.Uint32(key)
	if length > t.bits {
		return nil
	}
	for l := int64(length); l >= 0; l-- {
		if r := t.hash.lookup(masked(key, uint32(l)), cpu); r != nil {
			return r
		}
	}
	return nil
}

func (t *trie) update(key, value []byte, flags uint64, cpu int) int64 {
	length := binary.LittleEndian.Uint32(key)
	if length > t.bits {
		return -einval
	}
	// The kernel's trie says that it is full with another error than a hash.
	if errno := t.hash.update(masked(key, length), value, flags, cpu); errno != -e2big {
		return errno
	}
	return -enospc
}

func (t *trie) remove(key []byte) int64 {
	length := binary.LittleEndian.Uint32(key)
	if length > t.bits {
		return -einval
	}
	return t.hash.remove(masked(key, length))
}
