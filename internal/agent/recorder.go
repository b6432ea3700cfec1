// SPDX-License-Identifier: Apache-2.0

package agent

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/identity"
)

// Words of the agent's state in the kernel (kern.State). They outlive the agent: the
// next one counts on where this one was killed.
const (
	wordSeq    = 0  // per event.Kind: records numbered so far, lost ones included
	wordLosses = 64 // per place and record type: losses that have been reported
)

// state is where the words live: a kern.State.
type state interface {
	Get(i int) uint64
	Set(i int, value uint64)
}

// recorder gives records their envelope and number, and puts them into the log. It is
// used by the reader's goroutine only.
type recorder struct {
	node    identity.Node
	cluster string
	clock   *clock
	state   state
	log     *event.Log
}

// publish completes a record whose body is set.
func (r *recorder) publish(kind event.Kind, bootNS uint64, process *skepv1.Process, record *skepv1.Record) {
	record.NodeId, record.BootId, record.NodeName, record.Cluster = r.node.ID, r.node.BootID, r.node.Name, r.cluster
	record.Kind = kind.String()
	record.Seq = r.skip(kind, 1)
	record.BootNs = bootNS
	record.Time = r.clock.Wall(bootNS)
	record.Process = process
	if c := process.GetContainer(); c != nil {
		record.Namespace, record.Pod = c.Namespace, c.Pod
	}
	r.log.Append(kind, record)
}

// skip takes n numbers of a kind and returns the last one.
func (r *recorder) skip(kind event.Kind, n uint64) uint64 {
	word := wordSeq + int(kind)
	last := r.state.Get(word) + n
	r.state.Set(word, last)
	return last
}

// seq is the last number given to a kind.
func (r *recorder) seq(kind event.Kind) uint64 { return r.state.Get(wordSeq + int(kind)) }

// reported is the losses that have been turned into records, of one place and type.
func (r *recorder) reported(place, typ int) uint64 {
	return r.state.Get(wordLosses + place*int(abi.EventTypes) + typ)
}

func (r *recorder) setReported(place, typ int, n uint64) {
	r.state.Set(wordLosses+place*int(abi.EventTypes)+typ, n)
}
