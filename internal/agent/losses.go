// SPDX-License-Identifier: Apache-2.0

package agent

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
)

// kinds maps record types to the public kinds. What is not in it never leaves the agent.
var kinds = map[abi.EventType]event.Kind{
	abi.EventFork: event.Fork, abi.EventExec: event.Exec, abi.EventExit: event.Exit, abi.EventOOM: event.Oom,
	abi.EventConnect: event.Connect, abi.EventAccept: event.Accept, abi.EventClose: event.Close, abi.EventListen: event.Listen,
}

// internalNames name the record types that are not public kinds, where they get lost.
var internalNames = map[abi.EventType]string{
	abi.EventCgroupMkdir: "cgroup_mkdir", abi.EventCgroupRmdir: "cgroup_rmdir", abi.EventCgroupAttach: "cgroup_attach",
	abi.EventEstablished: "established",
}

var places = [abi.LossPlaces]string{abi.LossRingFull: "ring_full", abi.LossTableFull: "table_full"}

func typeName(t abi.EventType) string {
	if kind, ok := kinds[t]; ok {
		return kind.String()
	}
	if name := internalNames[t]; name != "" {
		return name
	}
	return "unknown"
}

// reportLosses turns what the kernel side has lost since the last pass into loss
// records, and leaves the gap in the numbers of that kind. It returns how many records
// of the process lifecycle are among them.
func (s *sink) reportLosses() (total, lifecycle uint64) {
	if err := s.kernel.ReadLosses(&s.losses); err != nil {
		s.logger.Error("losses not read", "error", err)
		return 0, 0
	}
	for place := range s.losses {
		for typ, now := range s.losses[place] {
			n := now - s.recorder.reported(place, typ)
			if n == 0 {
				continue
			}
			s.recorder.setReported(place, typ, now)
			s.publishLoss(place, abi.EventType(typ), n)
			total += n
			if abi.EventType(typ) < abi.EventConnect {
				lifecycle += n
			}
		}
	}
	return total, lifecycle
}

func (s *sink) publishLoss(place int, typ abi.EventType, n uint64) {
	loss := &skepv1.Loss{LostKind: typeName(typ), Count: n, Place: places[place]}
	// A full table loses nothing of the stream: only a full ring makes a gap.
	if kind, ok := kinds[typ]; ok && place == int(abi.LossRingFull) {
		loss.LastSeq = s.recorder.skip(kind, n)
		loss.FirstSeq = loss.LastSeq - n + 1
	}
	s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: loss}})
}

// reportMissed tells of programs that did not run because the CPU was already in one:
// what they would have seen, if anything, is not known.
func (s *sink) reportMissed() {
	for _, p := range s.kernel.Stats() {
		n := p.Missed - s.missed[p.ID]
		if n == 0 {
			continue
		}
		s.missed[p.ID] = p.Missed
		s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
			LostKind: "unknown", Count: n, Place: "program_missed",
			Detail: p.Name + " at " + p.Hook + " was not run by the kernel",
		}}})
	}
}
