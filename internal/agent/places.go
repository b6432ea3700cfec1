// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
)

// placer tells the place of a cgroup, with one public message per container that all
// its processes share.
type placer struct {
	index      *cgroup.Index
	containers *container.Table

	mutex  sync.Mutex
	public map[string]published
}

type published struct {
	from *container.Container
	to   *skepv1.Container
}

// maxPublished bounds the messages kept; past it the map starts anew, which costs
// sharing and nothing else.
const maxPublished = 16384

func newPlacer(index *cgroup.Index, containers *container.Table) *placer {
	return &placer{index: index, containers: containers, public: map[string]published{}}
}

// Place implements identity.Cgroups.
func (p *placer) Place(id uint64) identity.Place {
	path, _ := p.index.Lookup(id)
	place := identity.Place{Cgroup: path}
	c := p.containers.ForCgroup(id)
	if c == nil {
		return place
	}
	place.Unit = c.Unit
	if c.ID != "" {
		place.Container = p.message(c)
	}
	return place
}

func (p *placer) message(c *container.Container) *skepv1.Container {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if known := p.public[c.ID]; known.from == c {
		return known.to
	}
	if len(p.public) >= maxPublished {
		clear(p.public)
	}
	to := &skepv1.Container{
		Id: c.ID, Runtime: string(c.Runtime), Name: c.Name, Image: c.Image, Labels: c.Labels, PodLabels: c.PodLabels,
		PodUid: c.PodUID, Pod: c.PodName, Namespace: c.Namespace,
	}
	p.public[c.ID] = published{c, to}
	return to
}
