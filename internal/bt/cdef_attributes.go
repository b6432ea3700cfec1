// SPDX-License-Identifier: Apache-2.0

package bt

import "strconv"

// attributes are those of GCC that change where the members of a structure are.
type attributes struct {
	packed  bool
	aligned int // bytes, 0 for none
}

// alignment of a member of a type that wants so many bytes of it.
func (a attributes) alignment(wanted int) int {
	if a.packed {
		return 1
	}
	return wanted
}

const mostAlignment = 1 << 12

// attributes reads __attribute__((packed, aligned(8))) as often as it is there.
func (p *cParser) attributes(a attributes) attributes {
	for p.peek() == "__attribute__" {
		p.next()
		for depth, again := 0, true; again && p.peek() != ""; again = depth > 0 {
			switch word := p.next(); word {
			case "(":
				depth++
			case ")":
				depth--
			case "packed", "__packed__":
				a.packed = true
			case "aligned", "__aligned__":
				a.aligned = 16 // what GCC takes for the largest, if nothing is said
				if len(p.tokens) > 1 && p.tokens[0] == "(" {
					if n, err := strconv.ParseUint(p.tokens[1], 0, 16); err == nil && n <= mostAlignment && n&(n-1) == 0 {
						a.aligned = int(n)
					}
				}
			}
		}
	}
	return a
}

// behind are the attributes behind the } that belongs to where the parser is.
func (p *cParser) behind(a attributes) attributes {
	depth := 1
	for i, t := range p.tokens {
		switch t {
		case "{":
			depth++
		case "}":
			depth--
		}
		if depth == 0 {
			return (&cParser{tokens: p.tokens[i+1:]}).attributes(a)
		}
	}
	return a
}
