// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"testing"
)

const maxLines = 800

// longer may be longer, each with its reason.
var longer = map[string]string{}

func TestFileSizes(t *testing.T) {
	for _, f := range files(t, sourceEnds...) {
		lines := bytes.Count(f.text, []byte("\n"))
		reason, excepted := longer[f.name]
		switch {
		case lines > maxLines && !excepted && !f.generated():
			t.Errorf("%s: %d lines; a file of more than %d wants to be two", f.name, lines, maxLines)
		case lines <= maxLines && excepted:
			t.Errorf("%s: %d lines, and excepted from the limit (%s): take it off the list", f.name, lines, reason)
		}
	}
}
