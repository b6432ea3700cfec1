// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"
	"time"

	"github.com/skep-io/skep/internal/event"
)

// rates knows how many events of each kind come a second. Its zero value needs counts.
type rates struct {
	counts func() event.Counts // received so far

	mutex sync.Mutex
	past  [10]moment // one a second; that of tick n is at n modulo their number
	ticks int
}

type moment struct {
	at     time.Time
	counts event.Counts
}

// tick is called once a second.
func (r *rates) tick(now time.Time) {
	m := moment{now, r.counts()}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.past[r.ticks%len(r.past)] = m
	r.ticks++
}

// perSecond is the rate of each kind over the last ten seconds, or since the first tick:
// of what has come since, by the time that has really passed.
func (r *rates) perSecond(now time.Time) (perSecond [event.NumKinds]float64) {
	counts := r.counts()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.ticks == 0 {
		return perSecond
	}
	first := r.past[max(0, r.ticks-len(r.past))%len(r.past)]
	passed := now.Sub(first.at).Seconds()
	if passed <= 0 {
		return perSecond
	}
	for kind := range perSecond {
		perSecond[kind] = float64(counts[kind]-first.counts[kind]) / passed
	}
	return perSecond
}
