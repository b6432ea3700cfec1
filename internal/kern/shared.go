// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// SharedMap is a map of a [Kernel] that programs of groups may read.
type SharedMap struct{ m *ebpf.Map }

// Share returns a map of the kernel side for groups. It is good as long as the Kernel is open.
func (k *Kernel) Share(name string) (*SharedMap, error) {
	m, err := k.Map(name)
	if err != nil {
		return nil, err
	}
	return &SharedMap{m}, nil
}

// share makes a shared map one of the group's.
func (g *Group) share(name string, s *SharedMap) error {
	m, err := s.m.Clone()
	if err != nil {
		return fmt.Errorf("share map %s: %w", name, err)
	}
	g.maps[name] = m
	return nil
}
