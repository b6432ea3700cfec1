// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	tail := &Tail{}
	for i := range 20_000 {
		fmt.Fprintf(tail, "line %d of many, which are long enough\n", i)
	}
	text := string(tail.Bytes())
	if len(text) > tailBytes || len(text) < tailBytes-100 || !strings.HasPrefix(text, "line ") || !strings.HasSuffix(text, "line 19999 of many, which are long enough\n") {
		t.Errorf("%d bytes, from %.20q to %.50q", len(text), text, text[len(text)-50:])
	}
	if (*Tail)(nil).Bytes() != nil {
		t.Error("a tail that is not there has text")
	}
}
