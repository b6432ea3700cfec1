// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"cmp"
	"maps"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// Stats says how the output does.
func (o *Output) Stats() Stats {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	s := o.stats
	s.Type, s.Target, s.Lost = o.spec.Type, o.spec.Target, maps.Clone(s.Lost)
	return s
}

// NewLosses returns what was lost since it was last asked, by kind; for the one who tells
// the agent's stream.
func (o *Output) NewLosses() map[string]uint64 {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	news := map[string]uint64{}
	for kind, n := range o.stats.Lost {
		if n > o.told[kind] {
			news[kind], o.told[kind] = n-o.told[kind], n
		}
	}
	return news
}

// lose implements refuse. The first of a series is in the log.
func (o *Output) lose(kind string, n uint64, why error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.stats.Lost[cmp.Or(kind, "unknown")] += n
	if o.stats.LastError != why.Error() {
		o.stats.LastError = why.Error()
		o.deps.Logger.Warn("records not shipped", "output", o.name, "kind", kind, "count", n, "error", why)
	}
}

// delivered counts; well says that nothing of the batch was refused.
func (o *Output) delivered(n uint64, well bool) {
	if n == 0 {
		return
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.stats.Delivered += n
	if well && o.stats.LastError != "" {
		o.stats.LastError = ""
		o.deps.Logger.Info("output delivers again", "output", o.name)
	}
}

func (o *Output) failed(err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.stats.Failures++
	if o.stats.LastError == "" {
		o.deps.Logger.Warn("output does not deliver; it is tried again", "output", o.name, "error", err)
	}
	o.stats.LastError = err.Error()
}

// lossRecord stands in this output's records where others are missing. It has no number.
func (o *Output) lossRecord(kind event.Kind, n uint64) *skepv1.Record {
	var boot unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) // cannot fail with this clock and a valid pointer
	return &skepv1.Record{
		NodeId: o.deps.Node.ID, BootId: o.deps.Node.BootID, NodeName: o.deps.Node.Name,
		Kind: event.Loss.String(), Time: timestamppb.Now(), BootNs: uint64(boot.Nano()),
		Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
			LostKind: kind.String(), Count: n, Place: "ship:" + o.name,
			Detail: "the receiver was too slow, or away; counted before the filter",
		}},
	}
}
