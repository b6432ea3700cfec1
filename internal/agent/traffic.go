// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"sync"
	"time"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/tcp"
)

// trafficKeeps is for how long one answer of the kernel serves everybody who asks.
const trafficKeeps = time.Second

// traffic knows what open connections have carried so far. It asks the kernel when
// somebody asks for it: no event costs anything for it.
type traffic struct {
	iterate  func(program string) ([]byte, error)
	programs func() []string // none where the kernel cannot tell
	logger   *slog.Logger

	mutex sync.Mutex // held while the kernel is asked: the others wait for the same answer
	last  flow.Traffic
	until time.Time
}

// newTraffic asks rung for the rung in use of a signal.
func newTraffic(k *kern.Kernel, rung func(signal string) *kern.Rung, logger *slog.Logger) *traffic {
	return &traffic{iterate: k.Iterate, logger: logger, programs: func() []string {
		if r := rung(tcp.TrafficSignal); r != nil {
			return r.Programs
		}
		return nil
	}}
}

// recent is an answer that is at most a second old.
func (t *traffic) recent() flow.Traffic {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if time.Now().Before(t.until) {
		return t.last
	}
	now, err := t.read()
	if err != nil {
		t.logger.Error("open connections not counted", "error", err)
		now = flow.Traffic{}
	}
	t.last, t.until = now, time.Now().Add(trafficKeeps)
	return now
}

// read asks the kernel.
func (t *traffic) read() (flow.Traffic, error) {
	at := bootNS()
	var raw []byte
	for _, program := range t.programs() {
		out, err := t.iterate(program)
		if err != nil {
			return flow.Traffic{}, err
		}
		raw = append(raw, out...)
	}
	of := make(map[uint64]abi.TcpTraffic, len(raw)/tcp.CountBytes)
	err := tcp.DecodeCounts(raw, func(c tcp.Count) { of[c.ID] = c.Traffic })
	return flow.Traffic{AtNS: at, Of: of}, err
}
