// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"
)

// TestBudgetClock: the clock of a budget with short seconds is that much faster.
func TestBudgetClock(t *testing.T) {
	for second, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Minute, 200 * time.Millisecond: 5 * time.Minute,
	} {
		options := Options{Second: second}
		if got := (budgetClock{second: options.second()}).of(time.Minute); got.Round(time.Microsecond) != want {
			t.Errorf("seconds of %v: a minute is %v, want %v", second, got, want)
		}
	}
}
