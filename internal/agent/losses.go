// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
)

// kinds maps record types to the public kinds. What is not in it never leaves the agent.
var kinds = map[abi.EventType]event.Kind{
	abi.EventFork: event.Fork, abi.EventExec: event.Exec, abi.EventExit: event.Exit, abi.EventOOM: event.Oom,
	abi.EventConnect: event.Connect, abi.EventAccept: event.Accept, abi.EventClose: event.Close, abi.EventListen: event.Listen,
	abi.EventDNS: event.Dns, abi.EventFile: event.File,
	abi.EventUdp: event.Udp, abi.EventUnix: event.Unix,
	abi.EventHost: event.Host,
}

// types is kinds the other way round; EventNone for a kind that is not on the rings.
var types = func() (inverse [event.NumKinds]abi.EventType) {
	for typ, kind := range kinds {
		inverse[kind] = typ
	}
	return inverse
}()

// internalNames name the record types that are not public kinds, where they get lost.
var internalNames = map[abi.EventType]string{
	abi.EventCgroupMkdir: "cgroup_mkdir", abi.EventCgroupRmdir: "cgroup_rmdir", abi.EventCgroupAttach: "cgroup_attach",
	abi.EventEstablished: "established", abi.EventUnlisten: "unlisten",
}

var places = [abi.LossPlaces]string{
	abi.LossRingFull: "ring_full", abi.LossTableFull: "table_full", abi.LossUntracked: "untracked",
}

// makesGap tells whether what a place loses is missing from the stream: a full table of
// processes costs a record nothing but its owner.
func makesGap(place int) bool { return place != int(abi.LossTableFull) }

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
// never came, and how many of them concern processes.
func (s *sink) reportLosses() (gone, lifecycle uint64) {
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
			s.recorder.loss(wordOfLoss(place, typ), abi.EventType(typ), makesGap(place), &skepv1.Loss{Count: n, Place: places[place]})
			if !makesGap(place) {
				continue
			}
			gone += n
			switch t := abi.EventType(typ); {
			case t <= abi.EventCgroupAttach:
				lifecycle += n
			// A socket that was not tracked is in no table that would have to be set right.
			case place == int(abi.LossRingFull) && (t == abi.EventClose || t == abi.EventUnlisten):
				s.closesLost.Store(true)
				s.rescan()
			}
		}
	}
	return gone, lifecycle
}

// reportMissed tells of programs that did not run because the CPU was already in one:
// what they would have seen, if anything, is not known.
func (s *sink) reportMissed() {
	stats := s.costs.programs()
	if len(stats) > 0 && !s.recorder.matches(stats) { // a sensor was attached or detached
		s.recorder.matchMissed(stats)
	}
	for i, p := range stats {
		word := wordMissed + i
		if word >= endMissed {
			return
		}
		// It may go down too, when another program has made good what this one missed.
		if before := s.recorder.state.Get(word); p.Missed > before {
			s.recorder.state.Set(word, p.Missed)
			s.tellLoss(p.Missed-before, "program_missed", p.Name+" at "+p.Hook+" was not run by the kernel")
			if strings.Contains(p.Hook, "sched_process_") {
				s.processesLost.Store(true) // it may have been the end of one
				s.rescan()
			}
		}
	}
}

// matches tells whether what was reported is in the order of these programs.
func (r *recorder) matches(programs []kern.ProgramStats) bool {
	for i, p := range programs[:min(len(programs), endMissed-wordMissed)] {
		if r.state.Get(wordPrograms+i) != uint64(p.ID) {
			return false
		}
	}
	return true
}

// matchMissed puts what was reported of each program where it is in the order of now, and
// begins at 0 for programs that were not attached then.
func (r *recorder) matchMissed(programs []kern.ProgramStats) {
	reported := map[uint64]uint64{}
	for word := wordMissed; word < endMissed; word++ {
		reported[r.state.Get(word-wordMissed+wordPrograms)] = r.state.Get(word)
	}
	for i := range endMissed - wordMissed {
		word, of, id := wordMissed+i, wordPrograms+i, uint64(0)
		if i < len(programs) {
			id = uint64(programs[i].ID)
		}
		if id != 0 && r.state.Get(of) == id {
			continue
		}
		r.state.Set(of, 0) // until both are right
		r.state.Set(word, 0)
		if id != 0 {
			r.state.Set(word, reported[id])
			r.state.Set(of, id)
		}
	}
}

// reportMalformed tells of records that could not be decoded.
func (s *sink) reportMalformed() {
	now := s.malformed.Load()
	if now == s.toldMalformed {
		return
	}
	s.logger.Error("records not decoded", "count", now-s.toldMalformed, "error", s.malformedBy)
	s.tellLoss(now-s.toldMalformed, "malformed", s.malformedBy.Error())
	s.toldMalformed = now
}

// reportUndecoded tells of DNS messages that are shown in part or not at all, because of
// what stands in them.
func (s *sink) reportUndecoded() {
	now, reason := s.queries.Undecoded()
	if n := now - s.undecoded.Swap(now); n > 0 {
		s.tellLossOf(event.Dns.String(), n, placeUndecoded, reason)
	}
}

// full is a table that has no room: records come all the same, and lack what is in it.
type full struct {
	place, kind string
	count       uint64
	detail      string
}

// fullTables are the agent's own bounded tables that refuse what is new. Those that forget
// what is oldest lose nothing that a record needs.
func (s *sink) fullTables() [4]full {
	containers := s.containers.Stats()
	return [...]full{
		{"connections_full", "connection", s.flows.Stats().Untracked,
			"sockets are in their records only, without their peer: raise tables.connections in skep.yaml"},
		{"cgroups_full", "cgroup", containers.Index.Refused, "cgroups are looked for at each event: there are too many, or their paths are too long"},
		{"containers_full", "cgroup", containers.Refused, "the containers of cgroups are looked for at each event: there are too many cgroups"},
		{"resolver_full", "container", containers.Resolver.Overflow, "name and image of containers come later: too many are asked for at once"},
	}
}

// reportFull tells how often something was refused since the last time.
func (s *sink) reportFull() {
	for i, f := range s.fullTables() {
		if n := f.count - s.toldFull[i]; n > 0 {
			s.toldFull[i] = f.count
			s.tellLossOf(f.kind, n, f.place, f.detail)
		}
	}
}

// placeUndecoded is where messages are lost that are not what they should be.
const placeUndecoded = "undecoded"

func (s *sink) tellLoss(n uint64, place, detail string) { s.tellLossOf("unknown", n, place, detail) }

func (s *sink) tellLossOf(kind string, n uint64, place, detail string) {
	s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
		LostKind: kind, Count: n, Place: place, Detail: detail,
	}}})
}

// takeOver continues the numbers of kernel sides that were taken away, and tells what was
// lost with them: what waited in their rings, and what they had lost and not told.
func (r *recorder) takeOver(left []kern.Leftover) {
	continued := r.state.Get(wordLayout) != 0
	lost := map[abi.EventType]uint64{}
	for _, l := range left {
		old := recorder{state: pastWords(l.Words)}
		known := len(l.Words) >= endMissed && old.state.Get(wordLayout) == layoutVersion
		continued = continued || known
		if known {
			r.state.Set(wordBegun, max(r.state.Get(wordBegun), old.state.Get(wordBegun)))
		}
		for typ, n := range l.Records {
			if abi.EventType(typ) >= abi.EventTypes {
				typ = uint16(abi.EventNone)
			}
			lost[abi.EventType(typ)] += n
		}
		for place := range l.Losses {
			for typ, n := range l.Losses[place] {
				if told := old.reported(place, typ); known && makesGap(place) && n > told {
					lost[abi.EventType(typ)] += n - told
				}
			}
		}
		for _, kind := range event.Kinds() {
			if known && r.received(kind)+r.lost(kind) == 0 {
				r.state.Set(wordBase+int(kind), max(r.state.Get(wordBase+int(kind)), old.seq(kind)))
			}
		}
	}
	if !continued {
		r.begin(bootNS())
	}
	r.state.Set(wordLayout, layoutVersion)
	for typ := range abi.EventTypes {
		if lost[typ] > 0 {
			r.loss(wordRestart+int(typ), typ, true, &skepv1.Loss{Count: lost[typ], Place: "restart",
				Detail: "with the kernel side of an agent of another version or configuration, or a damaged one"})
		}
	}
}

// begin numbers the records of a new kernel side from the microseconds since boot, so
// that no number is used twice in a boot even where nothing is left of the agents before:
// no kind has a million records a second. They stay below 2^53, exact in JSON, for 285 years.
func (r *recorder) begin(now uint64) {
	r.state.Set(wordBegun, now/1000)
	for _, kind := range event.Kinds() {
		r.state.Set(wordBase+int(kind), now/1000)
	}
}

// pastWords are those of a kernel side that is gone.
type pastWords []uint64

func (w pastWords) Get(i int) uint64 {
	if i >= len(w) {
		return 0
	}
	return w[i]
}

func (w pastWords) Set(int, uint64) {}
