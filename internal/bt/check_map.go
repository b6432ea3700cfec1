// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

// mapNamed is what is known of the map that a node names.
func (c *checker) mapNamed(m *syntax.Map) *mapInfo {
	info := c.maps[m.Name]
	if info == nil {
		info = &mapInfo{name: m.Name, valuePos: m.Pos}
		c.maps[m.Name] = info
		c.mapOrder = append(c.mapOrder, info)
	}
	return info
}

// mapOf checks a map with its key.
func (c *checker) mapOf(m *syntax.Map) *mapInfo {
	info := c.mapNamed(m)
	key := noType
	if m.Key != nil {
		if key = c.value(m.Key); key.Kind == None {
			return info
		}
	}
	c.learnKey(info, key, m)
	c.unit.types[m] = info.value
	return info
}

// learnKey gives a map's keys a type, or compares it with what is known.
func (c *checker) learnKey(info *mapInfo, key Type, at syntax.Node) {
	key = c.keyType(key, at)
	switch {
	case !info.keySet:
		info.key, info.keySet, info.keyPos, c.changed = key, true, at.Position(), true
	case info.key.Kind == None && key.Kind != None:
		c.errorf(at.Position(), "%s has no key since line %d, column %d: it cannot have %s",
			info.name, info.keyPos.Line, info.keyPos.Column, key)
	case info.key.Kind != None && key.Kind == None:
		c.errorf(at.Position(), "%s has the key %s since line %d, column %d: it must be given",
			info.name, info.key, info.keyPos.Line, info.keyPos.Column)
	case !same(info.key, key):
		c.errorf(at.Position(), "%s has the key %s since line %d, column %d: it cannot have %s",
			info.name, info.key, info.keyPos.Line, info.keyPos.Column, key)
	default:
		c.widen(&info.key, key)
	}
}

// keyType is a type as part of a key. Integers are told apart by their value only.
func (c *checker) keyType(t Type, at syntax.Node) Type {
	return c.inStorage(t)
}

// wholeMap is the map that a function gets as an argument without a key; nil if the
// argument is something else.
func (c *checker) wholeMap(x syntax.Expr) (*syntax.Map, *mapInfo) {
	m, ok := x.(*syntax.Map)
	if !ok || m.Key != nil {
		return nil, nil
	}
	return m, c.mapNamed(m)
}
