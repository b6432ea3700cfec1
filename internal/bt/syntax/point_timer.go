// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"

	"github.com/skep-io/skep/internal/spelling"
)

// timer reads UNIT:COUNT and a duration alone, of profile and interval.
func (r *pointReader) timer() error {
	a := r.point
	if err := r.count(1, 2, a.Provider+":hz:COUNT, "+a.Provider+":s:COUNT (or ms, us) or "+a.Provider+":1s"); err != nil {
		return err
	}
	if len(r.parts) == 2 {
		return r.duration()
	}
	a.Unit = r.parts[1]
	switch a.Unit {
	case "hz", "s", "ms", "us":
	default:
		if near := spelling.Nearest(a.Unit, []string{"hz", "s", "ms", "us"}); near != "" {
			r.hint = "did you mean " + quote(near) + "?"
		}
		return fmt.Errorf("found unit %s, expected hz, s, ms or us", quote(a.Unit))
	}
	n, err := parseInteger(r.parts[2])
	if err != nil || n.Value == 0 {
		return fmt.Errorf("found %s, expected a number above 0", quote(r.parts[2]))
	}
	a.Count = n.Value
	return nil
}

// duration reads 1s, 100ms or a number of nanoseconds, in the greatest unit that has no
// rest.
func (r *pointReader) duration() error {
	a, text := r.point, r.parts[1]
	if HasWildcard(text) {
		a.Unit = text // for lists
		return nil
	}
	n, err := parseInteger(text)
	if err != nil || n.Value == 0 {
		return fmt.Errorf("found %s, expected a duration such as 1s or 100ms", quote(text))
	}
	switch {
	case n.Value%1e9 == 0:
		a.Unit, a.Count = "s", n.Value/1e9
	case n.Value%1e6 == 0:
		a.Unit, a.Count = "ms", n.Value/1e6
	case n.Value%1e3 == 0:
		a.Unit, a.Count = "us", n.Value/1e3
	default:
		return fmt.Errorf("found %s; the shortest period is a microsecond", quote(text))
	}
	return nil
}

// perfEvent reads EVENT and EVENT:COUNT.
func (r *pointReader) perfEvent() error {
	a := r.point
	if err := r.count(1, 2, a.Provider+":EVENT or "+a.Provider+":EVENT:COUNT"); err != nil {
		return err
	}
	a.Event = r.parts[1]
	if text := r.part(2); text != "" && text != "*" {
		n, err := parseInteger(text)
		if err != nil {
			return fmt.Errorf("found %s, expected how many events make one", quote(text))
		}
		a.Count = n.Value
	}
	return r.named(a.Event)
}

// watchpoint reads ADDRESS:LENGTH:MODE and FUNCTION+ARG:LENGTH:MODE.
func (r *pointReader) watchpoint() error {
	a := r.point
	if err := r.count(3, 3, a.Provider+":ADDRESS:LENGTH:MODE or "+a.Provider+":FUNCTION+arg0:LENGTH:MODE"); err != nil {
		return err
	}
	if function, arg, ok := strings.Cut(r.parts[1], "+"); ok {
		if len(arg) != 4 || !strings.HasPrefix(arg, "arg") || !isDigit(arg[3]) {
			return fmt.Errorf("found %s, expected an argument such as arg0", quote(arg))
		}
		a.Function, a.Argument = function, int(arg[3]-'0')
	} else {
		n, err := parseInteger(r.parts[1])
		if err != nil {
			return fmt.Errorf("found address %s, expected a number or FUNCTION+arg0", quote(r.parts[1]))
		}
		a.Address, a.HasAddress = n.Value, true
	}
	n, err := parseInteger(r.parts[2])
	if err != nil {
		return fmt.Errorf("found length %s, expected a number of bytes", quote(r.parts[2]))
	}
	a.Length, a.Mode = n.Value, r.parts[3]
	if a.Mode == "" || strings.Trim(a.Mode, "rwx") != "" {
		return fmt.Errorf("found mode %s, expected any of r, w and x", quote(a.Mode))
	}
	return nil
}
