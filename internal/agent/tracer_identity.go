// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
	"github.com/skep-io/skep/internal/kern"
)

// processesMap is the kernel side's table of processes, which scripts may read.
const processesMap = "processes"

// scriptIdentity implements trace.Identity on the agent's tables, but for names, see scriptNames.
type scriptIdentity struct {
	view       identity.View
	places     *placer
	index      *cgroup.Index
	containers *container.Table
	// catchUp returns once the tables have what happened before it was called.
	catchUp func(context.Context)

	mutex  sync.Mutex
	caught time.Time // when it last did
}

func (a *Agent) scriptIdentity() (*scriptIdentity, map[string]*kern.SharedMap, error) {
	shared, err := a.kernel.Share(processesMap)
	if err != nil {
		return nil, nil, fmt.Errorf("give scripts the table of processes: %w", err)
	}
	i := &scriptIdentity{
		view: identity.View{Table: a.processes, Clock: a.clock}, places: a.places, index: a.index, containers: a.containers, catchUp: a.reader.CatchUp,
	}
	return i, map[string]*kern.SharedMap{processesMap: shared}, nil
}

func (i *scriptIdentity) cgroups(kind bt.Kind, name string) (found []uint64, unresolved bool) {
	for _, id := range i.index.IDs() {
		c := i.containers.ForCgroup(id)
		if c == nil || c.ID == "" {
			continue
		}
		unresolved = unresolved || !c.Resolved
		if kind == bt.Pod && isPod(c, name) || kind == bt.Container && isContainer(c, name) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	return found, unresolved
}

func isContainer(c *container.Container, name string) bool {
	return c.Name == name || len(name) >= shortID && strings.HasPrefix(c.ID, name)
}

func isPod(c *container.Container, name string) bool {
	return c.PodName != "" && (c.PodName == name || podName(c.Namespace, c.PodName) == name)
}

func podName(namespace, name string) string {
	if namespace == "" || name == "" {
		return name
	}
	return namespace + "/" + name
}

// shortID is how many characters of a container's id stand for it.
const shortID = 12

// Workload implements trace.Identity. A container whose name is not known is called by its id.
func (i *scriptIdentity) Workload(cgroup uint64) (container, pod string) {
	c := i.places.Place(cgroup).Container
	return cmp.Or(c.GetName(), c.GetId()[:min(len(c.GetId()), shortID)]), podName(c.GetNamespace(), c.GetPod())
}

// ExecID implements trace.Identity.
func (i *scriptIdentity) ExecID(id abi.ExecID) string { return i.process(id).GetExecId() }

// Executable implements trace.Identity.
func (i *scriptIdentity) Executable(id abi.ExecID) string { return i.process(id).GetExe() }

// Ancestors implements trace.Identity.
func (i *scriptIdentity) Ancestors(id abi.ExecID) []string {
	var all []string
	i.view.Ancestors(i.process(id).GetExecId(), func(p *skepv1.Process) bool {
		all = append(all, cmp.Or(p.GetExe(), p.GetComm()))
		return len(all) < mostAncestors
	})
	return all
}

const mostAncestors = 64

// catchUpEvery bounds how often a process that is not known makes a script wait.
const catchUpEvery = 20 * time.Millisecond

// process is that of an image. The record of its exec may still be on its way: it comes
// through another ring than what the script says.
func (i *scriptIdentity) process(id abi.ExecID) *skepv1.Process {
	// Until then the table has the image before it.
	if p := i.view.Table.Process(id); p.GetExe() != "" && i.view.Table.Knows(id) {
		return p
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if time.Since(i.caught) > catchUpEvery {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		i.catchUp(ctx)
		cancel()
		i.caught = time.Now()
	}
	return i.view.Table.Process(id)
}
