// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"fmt"
	"net/netip"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func matchPorts(ports []uint32) (predicate, error) {
	if len(ports) == 0 {
		return nil, nil
	}
	for _, p := range ports {
		if p > 65535 {
			return nil, fmt.Errorf("%d is not a port: the highest is 65535", p)
		}
	}
	set, err := setOf(ports)
	return func(r *skepv1.Record) bool {
		a, b := ends(r)
		_, first := set[a.GetPort()]
		_, second := set[b.GetPort()]
		return first && a != nil || second && b != nil
	}, err
}

func matchAddrs(values []string) (predicate, error) {
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) > maxFilterValues {
		return nil, fmt.Errorf("%d values, the limit is %d", len(values), maxFilterValues)
	}
	var nets []netip.Prefix
	for _, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return nil, err
		}
		nets = append(nets, p)
	}
	return func(r *skepv1.Record) bool {
		a, b := ends(r)
		return within(a, nets) || within(b, nets)
	}, nil
}

// ends are those of a connection or of a DNS query; nil for other records.
func ends(r *skepv1.Record) (a, b *skepv1.Endpoint) {
	switch body := r.GetBody().(type) {
	case *skepv1.Record_Connection:
		return body.Connection.GetLocal(), body.Connection.GetRemote()
	case *skepv1.Record_Dns:
		return body.Dns.GetClient(), body.Dns.GetServer()
	}
	return nil, nil
}

// parsePrefix reads an address or a prefix. An IPv4-mapped address is taken as
// IPv4, as records show it; a zone is refused, records have none.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("%q is not an address prefix such as 10.0.0.0/8: %w", s, err)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked(), nil
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address such as 10.0.0.1 or fe80::1: %w", s, err)
	}
	if a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q has a zone; leave out %q", s, "%"+a.Zone())
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func within(e *skepv1.Endpoint, nets []netip.Prefix) bool {
	if e.GetAddress() == "" {
		return false
	}
	a, err := netip.ParseAddr(e.GetAddress())
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
