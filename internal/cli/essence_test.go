// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestMissedIsNotLost: nobody knows whether a program that was not run would have made a record.
func TestMissedIsNotLost(t *testing.T) {
	missed := &skepv1.Loss{LostKind: "unknown", Count: 3, Place: "program_missed", Detail: "exec was not run"}
	for want, loss := range map[string]*skepv1.Loss{
		"MISSED 3 runs of a program: program_missed (exec was not run)": missed,
		"LOST 2 exec records: store":                                    {LostKind: "exec", Count: 2, Place: "store"},
		"LOST records: restart":                                         {LostKind: "exec", Place: "restart"},
	} {
		if got := string(essence{}.loss(nil, loss)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
