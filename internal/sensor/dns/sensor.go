// SPDX-License-Identifier: Apache-2.0

// Package dns is the sensor of DNS: the packets between this host's clients and their
// servers, over UDP and TCP. Its kernel side is bpf/dns, which sorts them out by port
// and looks into none; what becomes of them is internal/flow/dns.
package dns

import "github.com/skep-io/skep/internal/kern"

// MaxPorts is how many ports of servers can be watched.
const MaxPorts = 4

// PortsConstant is the kernel side's list of ports, a [MaxPorts]uint16 in which 0 is none.
const PortsConstant = "cfg_dns_ports"

// Ports is the value of [PortsConstant]; it takes the first [MaxPorts].
func Ports(ports []int) [MaxPorts]uint16 {
	var constant [MaxPorts]uint16
	for i, p := range ports[:min(len(ports), MaxPorts)] {
		constant[i] = uint16(p)
	}
	return constant
}

// What no rung sees.
const (
	noTLS = "DNS over TLS, HTTPS or QUIC is encrypted: it is not seen as DNS"
	noRaw = "what raw and packet sockets send is not seen"
)

// Sensor declares the ladder of the DNS sensor. The programs are attached at the root of
// cgroup2, so that they see every socket of the host in whatever namespace.
func Sensor() kern.Sensor {
	programs := []string{"dns_egress", "dns_ingress", "dns_sendmsg4", "dns_sendmsg6"}
	limits := []string{noTLS, noRaw}
	return kern.Sensor{
		Name: "dns",
		Ladders: []kern.Ladder{{
			Signal: "dns",
			Intent: kern.See,
			Advice: "it needs cgroup2: mount -t cgroup2 none /sys/fs/cgroup/unified",
			Rungs: []kern.Rung{
				{Name: "cgroup_skb", Programs: programs, Limits: limits},
				{Name: "cgroup_skb_probe", Programs: programs, Limits: limits, Config: map[string]any{"cfg_typed": false}},
			},
		}},
	}
}
