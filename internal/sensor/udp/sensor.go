// SPDX-License-Identifier: Apache-2.0

// Package udp is the sensor of UDP flows: what a socket and each of its peers send each
// other. Its kernel side is bpf/udp, which counts in a map; what becomes of the counts is
// internal/flow/udp.
package udp

import "github.com/skep-io/skep/internal/kern"

// Signal is the name of the ladder that all records come from.
const Signal = "udp"

// FlowsMap holds what is counted: an abi.UdpFlow for each abi.UdpKey.
const FlowsMap = "udp_flows"

// ExistingProgram is the iterator that finds the owners of sockets which were there first.
const ExistingProgram = "existing_udp"

// What no rung sees, and what the lower one lacks.
const (
	notSockets = "what raw and packet sockets send, what the kernel itself tunnels, and datagrams with IPv6 extension headers are not counted"
	translated = "a datagram of a socket that is not connected counts with the address that netfilter has given it on its way out"
	dropped    = "a datagram counts as received when it reaches the socket, also where the socket's buffer is full"
	noScan     = "a socket that is older than the agent has no owner until it sends or asks who has sent"
)

// Sensor declares the ladder of the UDP sensor. The programs are attached at the root of
// cgroup2, so that they see every socket of the host in whatever namespace.
func Sensor() kern.Sensor {
	programs := []string{
		"udp_egress", "udp_ingress", "udp_bind4", "udp_bind6", "udp_recvmsg4", "udp_recvmsg6", "udp_released",
	}
	limits := []string{notSockets, translated, dropped}
	return kern.Sensor{
		Name:  "udp",
		Scans: []string{ExistingProgram},
		Ladders: []kern.Ladder{{
			Signal: Signal,
			Intent: kern.See,
			Advice: "it needs cgroup2: mount -t cgroup2 none /sys/fs/cgroup/unified",
			Rungs: []kern.Rung{
				{Name: "cgroup_skb", Programs: programs, Limits: limits},
				{Name: "cgroup_skb_probe", Programs: programs, Limits: append([]string{noScan}, limits...), Config: map[string]any{"cfg_typed": false}},
			},
		}},
	}
}

// CanScan reports whether [ExistingProgram] works beside a rung: it needs socket storage
// for tracing programs, which came with the typed pointers (5.11).
func CanScan(rung kern.Rung) bool { return rung.Config["cfg_typed"] != false }
