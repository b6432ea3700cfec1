// SPDX-License-Identifier: Apache-2.0

package agent

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/server"
)

func (a *Agent) openServer() error {
	key, err := a.tokenKey()
	if err != nil {
		return err
	}
	roles := a.options.Config.Roles
	a.costs.counts = a.counts
	a.server, err = server.New(server.Deps{
		Node:        server.Node{ID: a.node.ID, BootID: a.node.BootID, Name: a.node.Name},
		Log:         a.log,
		Processes:   identity.View{Table: a.processes, Clock: a.sink.recorder.clock},
		Connections: connections{},
		Status:      a.status,
		Doctor:      func() *skepv1.GetDoctorResponse { return doctor(a.signals, a.hierarchy) },
		Logger:      a.logger,
		Audit:       a.audit,
		TokenKey:    key,
		Roles:       server.RoleConfig{ViewGroup: roles.ViewGroup, OperateGroup: roles.OperateGroup, WebUser: roles.WebUser},
	})
	return err
}

type connections struct{}

func (connections) List(bool) []*skepv1.ConnectionInfo { return nil }
