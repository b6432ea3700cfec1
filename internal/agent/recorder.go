// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/identity"
)

// Words of the agent's state in the kernel (kern.State). They outlive the agent: the
// next one counts on where this one was killed. Each fact is one word, so that a kill
// between two stores cannot make them disagree.
const (
	wordLayout   = 0   // layoutVersion, once the state is in use
	wordBegun    = 1   // numbers up to this one were given to nothing: see recorder.begin
	wordReceived = 64  // per event.Kind: records that were given a number
	wordBase     = 128 // per event.Kind: numbers that kernel sides before this one had used
	wordRestart  = 192 // per record type: lost with kernel sides before this one
	wordLosses   = 256 // per place and record type: losses that have been reported
	wordMissed   = 384 // per program, in the order of kern.Kernel.Stats: runs reported as missed
	wordPrograms = 512 // and the kernel's id of the program that they are of
	endMissed    = wordPrograms
)

const layoutVersion = 2

// layout makes agents with other words have a kernel side of their own.
var layout = fmt.Sprint(layoutVersion, event.Kinds(), int(abi.LossPlaces), int(abi.EventTypes))

// state is where the words live: a kern.State.
type state interface {
	Get(i int) uint64
	Set(i int, value uint64)
}

// recorder gives records their envelope and number, and puts them into the log. It is
// used by the reader's goroutine only, but for the methods that just read.
type recorder struct {
	node    identity.Node
	cluster string
	clock   *clock
	state   state
	log     *event.Log
	tallies tallies
}

// publish completes a record whose body is set, and its time too if it is one that
// envelope has made.
func (r *recorder) publish(kind event.Kind, bootNS uint64, process *skepv1.Process, record *skepv1.Record) {
	record.NodeId, record.BootId, record.NodeName, record.Cluster = r.node.ID, r.node.BootID, r.node.Name, r.cluster
	record.Kind = kind.String()
	r.add(wordReceived+int(kind), 1)
	record.Seq = r.seq(kind)
	record.BootNs = bootNS
	if record.Time == nil {
		record.Time = &timestamppb.Timestamp{}
	}
	r.clock.set(record.Time, bootNS)
	record.Process = process
	if c := process.GetContainer(); c != nil {
		record.Namespace, record.Pod = c.Namespace, c.Pod
	}
	if process != nil && r.tallies.some.Load() {
		r.tallies.count(kind, record)
	}
	r.log.Append(kind, record)
}

// envelope is a record with the time and the body that it points to: one allocation for
// what lives and dies together.
type envelope[Body any] struct {
	record skepv1.Record
	time   timestamppb.Timestamp
	body   Body
}

func newEnvelope[Body any]() *envelope[Body] {
	e := &envelope[Body]{}
	e.record.Time = &e.time
	return e
}

// tell publishes a change in the agent itself.
func (r *recorder) tell(body *skepv1.Agent) {
	r.publish(event.Agent, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Agent{Agent: body}})
}

func (r *recorder) add(word int, n uint64) { r.state.Set(word, r.state.Get(word)+n) }

// seq is the last number of a kind that was given to a record or to a loss.
func (r *recorder) seq(kind event.Kind) uint64 {
	return r.state.Get(wordBase+int(kind)) + r.received(kind) + r.lost(kind)
}

// begun is the number behind which the first record of any kind was numbered.
func (r *recorder) begun() uint64 { return r.state.Get(wordBegun) }

// received is how many records of a kind have been published.
func (r *recorder) received(kind event.Kind) uint64 { return r.state.Get(wordReceived + int(kind)) }

// lost is how many records of a kind never came.
func (r *recorder) lost(kind event.Kind) uint64 {
	typ := types[kind]
	if typ == abi.EventNone {
		return 0
	}
	return r.reported(int(abi.LossRingFull), int(typ)) + r.reported(int(abi.LossUntracked), int(typ)) + r.restart(int(typ))
}

// reported is the losses that have been turned into records, of one place and type.
func (r *recorder) reported(place, typ int) uint64 { return r.state.Get(wordOfLoss(place, typ)) }

func (r *recorder) restart(typ int) uint64 { return r.state.Get(wordRestart + typ) }

func wordOfLoss(place, typ int) int { return wordLosses + place*int(abi.EventTypes) + typ }

// loss publishes a loss record. word is raised by n, and if the numbers of that kind
// count it, the record names them.
func (r *recorder) loss(word int, typ abi.EventType, gap bool, loss *skepv1.Loss) {
	loss.LostKind = typeName(typ)
	r.add(word, loss.Count)
	if kind, ok := kinds[typ]; ok && gap {
		loss.LastSeq = r.seq(kind)
		loss.FirstSeq = loss.LastSeq - loss.Count + 1
	}
	r.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: loss}})
}
