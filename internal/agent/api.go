// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/flow"
	flowudp "github.com/skep-io/skep/internal/flow/udp"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/host"
)

func (a *Agent) openServer() error {
	key, err := a.tokenKey()
	if err != nil {
		return err
	}
	roles := a.options.Config.Roles
	a.costs.rates.counts = a.counts
	a.tracer = &tracer{host: host.New(cgroup.RootV2()), logger: a.logger, metricsServed: a.metricsServed}
	if a.tracer.identity, a.tracer.shared, err = a.scriptIdentity(); err != nil {
		return err
	}
	a.tracer.cgroups, a.tracer.foreign = a.scriptCgroups, a.hierarchy.Version != 2
	a.installed = newInstalled(a.tracer, installedDir(a.options.Config), a.logger)
	var disk server.Store // nil, and not an interface to a nil pointer, without a disk log
	if a.store != nil {
		disk = history{a.store}
	}
	a.server, err = server.New(server.Deps{
		Store:       disk,
		Node:        server.Node{ID: a.node.ID, BootID: a.node.BootID, Name: a.node.Name},
		Log:         a.log,
		Processes:   processes{identity.View{Table: a.processes, Clock: a.clock}, a.flows, a.traffic, a.datagrams.table},
		Connections: connections{a.flows, a.traffic, a.datagrams.table},
		Usage:       &usage{&a.sink.recorder.tallies, identity.View{Table: a.processes, Clock: a.clock}, a.flows, a.traffic},
		Tracer:      a.tracer,
		Installer:   a.installed,
		TraceMaps:   a.tracer.traceMaps,
		CatchUp:     a.reader.CatchUp,
		Status:      a.status,
		Doctor:      a.doctor,
		Diagnostics: a.diagnostics,
		Logger:      a.logger,
		Audit:       a.audit,
		TokenKey:    key,
		Roles:       server.RoleConfig{ViewGroup: roles.ViewGroup, OperateGroup: roles.OperateGroup, WebUser: roles.WebUser},
	})
	return err
}

// processes is the process table as users see it: with the connections of each process.
type processes struct {
	identity.View
	flows   *flow.Table
	traffic *traffic
	udp     *flowudp.Table
}

// List implements server.Processes.
func (p processes) List(exited bool) []*skepv1.ProcessInfo {
	all := p.View.List(exited)
	for _, info := range all {
		info.Connections = uint32(p.flows.CountByProcess(info.Process.ProcessId))
	}
	return all
}

// Get implements server.Processes.
func (p processes) Get(id string, pid uint32) (*skepv1.GetProcessResponse, bool) {
	r, ok := p.View.Get(id, pid)
	if !ok {
		return r, false
	}
	processID, traffic := r.Process.Process.ProcessId, flow.Traffic{}
	r.Process.Connections = uint32(p.flows.CountByProcess(processID))
	if r.Process.Connections > 0 {
		traffic = p.traffic.recent()
	}
	r.Connections = newestFirst(p.flows.Of(processID, traffic), p.udp.Of(processID))
	return r, true
}

// connections is the connection table as users see it: open ones with what they have
// carried so far, and UDP flows.
type connections struct {
	flows   *flow.Table
	traffic *traffic
	udp     *flowudp.Table
}

// List implements server.Connections.
func (c connections) List(closed bool) []*skepv1.ConnectionInfo {
	return newestFirst(c.flows.List(closed, flow.Traffic{}), c.udp.List())
}

// Counted implements server.Connections.
func (c connections) Counted(closed bool) []*skepv1.ConnectionInfo {
	return newestFirst(c.flows.List(closed, c.traffic.recent()), c.udp.List())
}

// newestFirst merges the tables of TCP, which is in that order, and of UDP.
func newestFirst(tcp, udp []*skepv1.ConnectionInfo) []*skepv1.ConnectionInfo {
	if len(udp) == 0 {
		return tcp
	}
	all := append(tcp, udp...)
	slices.SortStableFunc(all, func(a, b *skepv1.ConnectionInfo) int { return b.Opened.AsTime().Compare(a.Opened.AsTime()) })
	return all
}
