// SPDX-License-Identifier: Apache-2.0

// Package tcp is the sensor of TCP connections: connect, accept, close and listen.
// Its kernel side is bpf/tcp; what becomes of its events is internal/flow.
//
// On every rung: a listen(2) without a bind(2) is told with port 0, for the kernel
// chooses the port later; and a connection that waited in a listener's queue when
// the agent started has no accept record.
package tcp

import (
	"runtime"

	"github.com/skep-io/skep/internal/kern"
)

// ExistingProgram is the iterator that finds the sockets which were there first.
const ExistingProgram = "existing_sockets"

// RescuesMap counts, per CPU, the events that the program "state" had missed (its
// recursion misses) and "state_rescue" handled: what is lost is the difference.
const RescuesMap = "tcp_rescues"

// Programs of the object, by what they are for. Where fexit tells of accepts, the
// others stand in for it when it is itself interrupted.
var (
	states   = []string{"state", "state_rescue"}
	attempts = []string{"connect4", "connect6", "released"}
	exits    = []string{"accept_exit", "connect4_exit", "connect6_exit"}
	accepts  = []string{"getpeername4", "getpeername6"}
)

// Signal is the name of the ladder that all records come from.
const Signal = "tcp"

// TrafficSignal is the name of the ladder that counts what open sockets carry, and the
// iterator programs of its rungs write [Count]s.
const TrafficSignal = "traffic"

const (
	iterStored  = "iter_stored"
	countStored = "count_stored"
	countHashed = "count_hashed"
	countFiles  = "count_files"
)

// What the rungs lack.
const (
	noErrno = "a connect that fails before its first packet leaves (no route, denied, no free port) is reported when the " +
		"program closes the socket or tries again, with errno only if no port was free"
	acceptAtIO = "an accept without an address is reported at the connection's first read or write, " +
		"or at its close, and belongs to the process that did that; one that is reset before belongs to the listener's process"
	noSpeakFirst = "where the accepting program asks for no address and writes before it reads, the accept is reported at its first read or close"
	hashed       = "sockets are tracked in a table of limited size; until it is accepted, a connection on a port with several " +
		"listeners counts as that of the last one; sockets older than the agent are unknown until their first read"
	attemptsUnseen = "a connect that fails before its first packet leaves is not reported"
	uncounted      = "what an open connection has carried is not known where its program has used up the socket's memory for options"
	descriptors    = "what an open connection has carried is known only while a process has a descriptor of it: not before the accept, " +
		"and not after the close while the rest is being sent; asking takes time in proportion to all open files of the host"
	acceptUnseen = "an accept is reported at the connection's first read or at its close, and belongs to the process that did that"
)

// Sensor declares the ladder of the TCP sensor. It is one ladder, as all four
// kinds come from the same programs and state.
func Sensor() kern.Sensor {
	return kern.Sensor{
		Name:    "tcp",
		Scans:   []string{ExistingProgram},
		Rescues: []kern.Rescue{{Program: "state", By: "state_rescue", Counter: RescuesMap}},
		Ladders: []kern.Ladder{{
			Signal: Signal,
			Intent: kern.See,
			Advice: "the best rung needs fentry: Linux 5.11 or later with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y, " +
				"on a host that lets programs patch kernel text",
			Rungs: []kern.Rung{
				storage("fexit", nil, with(exits, states, accepts, attempts)),
				storage("cgroup", []string{noErrno, acceptAtIO}, with(states, accepts, []string{"received", "sent"}, attempts)),
				storage("cgroup_recv", []string{noErrno, acceptAtIO, noSpeakFirst}, with(states, accepts, []string{"received"}, attempts)),
				storage("tp_btf", []string{attemptsUnseen, acceptUnseen}, with(states, []string{"received"})),
				hash("fexit_hash", []string{hashed}, with(exits, states, accepts, []string{"received"}, attempts)),
				hash("cgroup_hash", []string{hashed, noErrno, acceptAtIO, noSpeakFirst}, with(states, accepts, []string{"received"}, attempts)),
				hash("tp_btf_hash", []string{hashed, attemptsUnseen, acceptUnseen}, with(states, []string{"received"})),
			},
		}, traffic()},
	}
}

// traffic goes over the maps of sockets, whichever of them the rung above uses: where
// there is storage, the hash has the few sockets that the kernel refuses it to.
func traffic() kern.Ladder {
	over := map[string]string{countStored: "tcp_sockets", countHashed: "tcp_sockets_hash"}
	return kern.Ladder{
		Signal: TrafficSignal,
		Intent: kern.See,
		Advice: "the best rung needs iterators over the elements of a map (Linux 5.9; some hosts forbid them) and " +
			"bpf_probe_read_kernel, which lockdown=confidentiality forbids",
		Rungs: []kern.Rung{
			{Name: "iter", Programs: []string{countStored, countHashed}, Over: over},
			{Name: iterStored, Programs: []string{countStored}, Over: over, Limits: []string{uncounted}},
			{Name: "task_file", Programs: []string{countFiles}, Limits: []string{descriptors}},
		},
	}
}

// CanScan reports whether [ExistingProgram] works beside a rung: it stamps sockets
// where only the rungs with socket storage look. Elsewhere a socket older than the
// agent is met at its first read or its close.
func CanScan(rung kern.Rung) bool { return rung.Config["cfg_socket_storage"] != false }

// CountsAll reports whether a rung of [TrafficSignal] counts every socket that has a
// descriptor, so that one it leaves out twice is gone. iter_stored does not look where the
// sockets are whose storage the kernel refuses.
func CountsAll(rung kern.Rung) bool { return rung.Name != iterStored }

// storage is a rung that keeps a socket's state in the socket.
func storage(name string, limits, programs []string) kern.Rung {
	return kern.Rung{Name: name, Programs: programs, Limits: limits, Config: map[string]any{
		"cfg_weak_order":   weakOrder,
		"cfg_connect_exit": name == "fexit",
	}}
}

// weakOrder is true on processors that order atomic operations less than x86 does.
const weakOrder = runtime.GOARCH != "amd64"

// hash is a rung for kernels whose tracing programs have no socket storage (before
// 5.11), which also lack a typed pointer to the current task.
func hash(name string, limits, programs []string) kern.Rung {
	return kern.Rung{Name: name, Programs: programs, Limits: limits, Config: map[string]any{
		"cfg_socket_storage": false,
		"cfg_typed":          false,
		"cfg_weak_order":     weakOrder,
		"cfg_connect_exit":   name == "fexit_hash",
	}}
}

func with(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
