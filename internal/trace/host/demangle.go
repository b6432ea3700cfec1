// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"

	"github.com/ianlancetaylor/demangle"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern/executable"
)

// Demangled is the name of a function as its source has it, if it is that of C++ or Rust;
// any other name is left as it is.
func Demangled(name string) string {
	if !strings.HasPrefix(name, "_Z") && !strings.HasPrefix(name, "_R") {
		return name
	}
	return demangle.Filter(name, demangle.MaxLength(longestDemangled))
}

// longestDemangled bounds what becomes of a name, as a power of two: one of some hundred
// letters may stand for gigabytes.
const longestDemangled = 13

// sourceFunctions are the functions of C++ and Rust that a pattern names as their source
// does. One without parentheses matches whatever the parameters are.
func sourceFunctions(f *executable.File, prefix string, t bt.Target) []bt.Target {
	glob := newGlob(t.Function)
	withParameters := strings.Contains(t.Function, "(")
	seen := map[uint64]bool{}
	var found []bt.Target
	for _, s := range f.Functions() {
		name := Demangled(s.Name)
		if name == s.Name || seen[s.Address] {
			continue
		}
		if !withParameters {
			name, _, _ = strings.Cut(name, "(")
		}
		if glob.match(name) {
			seen[s.Address] = true
			one := t
			one.Function, one.Name = s.Name, prefix+t.Language+":"+Demangled(s.Name)
			found = append(found, one)
		}
	}
	return found
}
