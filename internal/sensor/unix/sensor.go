// SPDX-License-Identifier: Apache-2.0

// Package unix is the sensor of connects to unix sockets: who connects to which, and who
// listens there. Its kernel side is bpf/unix.
package unix

import "github.com/skep-io/skep/internal/kern"

// Signal is the name of the ladder that all records come from.
const Signal = "unix"

const (
	noDatagrams  = "datagram sockets are not seen; of a socket whose listener has forked, the peer is the process that called listen(2)"
	noFailures   = "a connect that fails is not reported"
	everyReceive = "it runs each time that data arrives at any socket of the host"
	noNames      = "under lockdown=confidentiality the socket's name is not known"
)

// Sensor declares the ladder of the unix sensor.
func Sensor() kern.Sensor {
	exit, ready := []string{"connect_exit"}, []string{"data_ready"}
	best, wakeup := []string{noDatagrams, noNames}, []string{noFailures, everyReceive, noDatagrams, noNames}
	return kern.Sensor{
		Name: "unix",
		Ladders: []kern.Ladder{{
			Signal: Signal,
			Intent: kern.See,
			Advice: "the best rung needs fexit: CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y, on a host that lets programs patch " +
				"kernel text; the other one the tracepoint sk_data_ready (Linux 6.3)",
			Rungs: []kern.Rung{
				{Name: "fexit", Programs: exit, Limits: best},
				{Name: "fexit_probe", Programs: exit, Limits: best, Config: map[string]any{"cfg_typed": false}},
				{Name: "tp_btf", Programs: ready, Limits: wakeup},
			},
		}},
	}
}
