// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"math"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestRates: the status tells the rate of a generator, the first time that it is asked
// and right after that.
func TestRates(t *testing.T) {
	const runsPerSecond, seconds = 40, 14
	h := newHouse(t)
	a := h.start()
	g := h.generator()
	var looks []*skepv1.GetStatusResponse
	done := make(chan error, 1)
	time.AfterFunc(11500*time.Millisecond, func() { // after ten seconds of the generator, while it runs
		for range 4 {
			status, err := a.GetStatus(context.Background(), &skepv1.GetStatusRequest{})
			if err != nil {
				done <- err
				return
			}
			looks = append(looks, status)
			time.Sleep(200 * time.Millisecond)
		}
		done <- nil
	})
	g.run(runsPerSecond*seconds, seconds*time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, status := range looks {
		want := float64(runsPerSecond * perTurn)
		if k := kindOf(t, status, "oom"); math.Abs(k.Rate-want) > want*0.05 {
			t.Errorf("look %d: %.0f OOM kills a second, %.0f were made", i+1, k.Rate, want)
		}
	}
	a.stop()
}
