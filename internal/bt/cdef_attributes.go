// SPDX-License-Identifier: Apache-2.0

package bt

import "fmt"

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
func (p *cParser) attributes(a attributes) (attributes, error) {
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
				var err error
				if a.aligned, err = p.aligned(); err != nil {
					return a, err
				}
			}
		}
	}
	return a, nil
}

// aligned reads what stands behind that word: (8), or nothing.
func (p *cParser) aligned() (int, error) {
	if !p.accept("(") {
		return 16, nil // what GCC takes for the largest
	}
	n, err := p.integer()
	if err == nil {
		err = p.expect(")")
	}
	if err != nil {
		return 0, fmt.Errorf("aligned() takes one number here: %w", err)
	}
	if n < 1 || n > mostAlignment || n&(n-1) != 0 {
		return 0, fmt.Errorf("aligned(%d): it is a power of 2 up to %d", n, mostAlignment)
	}
	return int(n), nil
}

// behind are the attributes behind the } that belongs to where the parser is.
func (p *cParser) behind(a attributes) (attributes, error) {
	depth := 1
	for i, t := range p.tokens {
		switch t {
		case "{":
			depth++
		case "}":
			depth--
		}
		if depth == 0 {
			return (&cParser{host: p.host, tokens: p.tokens[i+1:]}).attributes(a)
		}
	}
	return a, nil
}
