// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/host"
)

// runScripts runs a private agent that has no sensors and keeps no tables: all it does is to
// run scripts, and it is ready at once.
func (a *Agent) runScripts(ctx context.Context) error {
	for _, step := range []func() error{kern.PreflightScripts, a.openScratch, a.openSocket, a.openMetrics, a.openScripts} {
		if err := step(); err != nil {
			return errors.Join(err, a.abort())
		}
	}
	if a.options.Ready != nil {
		a.options.Ready()
	}
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	group.Go(func() { stop(a.server.Serve(serving, a.listeners...)) })
	group.Go(func() {
		if err := a.metrics.run(serving, a.server); err != nil {
			stop(err)
		}
	})
	group.Wait()
	err := errors.Join(a.tracer.host.Close(), a.closeData())
	if cause := context.Cause(serving); ctx.Err() == nil && cause != nil {
		err = errors.Join(cause, err)
	}
	return err
}

// openScratch is openData for an agent that nobody will ask again who it was: nothing has to be
// on the disk before it goes on.
func (a *Agent) openScratch() error {
	cfg := &a.options.Config
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("read boot id: %w", err)
	}
	a.node = identity.Node{ID: uuid.NewString(), BootID: strings.TrimSpace(string(boot)), Name: cfg.NodeName}
	if a.audit, err = server.OpenAudit(auditPath(*cfg)); err != nil {
		return fmt.Errorf("open audit log: %w; set audit.path in skep.yaml to a writable place", err)
	}
	return nil
}

func (a *Agent) openScripts() error {
	key, err := a.tokenKey()
	if err != nil {
		return err
	}
	a.tracer = &tracer{host: host.New(cgroup.RootV2()), logger: a.logger, metricsServed: a.metricsServed, cgroups: func(name string) ([]uint64, error) {
		return nil, fmt.Errorf("find container %q: this agent runs scripts only", name)
	}}
	roles := a.options.Config.Roles
	a.server, err = server.New(server.Deps{
		Node: server.Node{ID: a.node.ID, BootID: a.node.BootID, Name: a.node.Name},
		Log:  event.NewLog(event.LogOptions{Bytes: 64 << 10}), Processes: noProcesses{}, Connections: noConnections{}, Usage: noUsage{},
		Tracer: a.tracer, TraceMaps: a.tracer.traceMaps,
		Status: func() *skepv1.GetStatusResponse {
			return &skepv1.GetStatusResponse{
				Version: a.options.Version, NodeId: a.node.ID, BootId: a.node.BootID, NodeName: a.node.Name,
				Time: timestamppb.Now(), Started: timestamppb.New(a.started), Uptime: durationpb.New(time.Since(a.started)), AgentCpu: durationpb.New(ownCPU()),
				Memory: &skepv1.MemoryStatus{ResidentBytes: residentBytes()},
			}
		},
		Doctor:      func() *skepv1.GetDoctorResponse { return &skepv1.GetDoctorResponse{Ok: true} },
		Diagnostics: func() *skepv1.GetDiagnosticsResponse { return &skepv1.GetDiagnosticsResponse{} },
		Logger:      a.logger, Audit: a.audit, TokenKey: key,
		Roles: server.RoleConfig{ViewGroup: roles.ViewGroup, OperateGroup: roles.OperateGroup, WebUser: roles.WebUser},
	})
	return err
}

// The tables of an agent that has none.
type (
	noProcesses   struct{}
	noConnections struct{}
	noUsage       struct{}
)

// List implements server.Processes.
func (noProcesses) List(bool) []*skepv1.ProcessInfo { return nil }

// Get implements server.Processes.
func (noProcesses) Get(string, uint32) (*skepv1.GetProcessResponse, bool) { return nil, false }

// Ancestors implements server.Processes.
func (noProcesses) Ancestors(string, func(*skepv1.Process) bool) {}

// List implements server.Connections.
func (noConnections) List(bool) []*skepv1.ConnectionInfo { return nil }

// Counted implements server.Connections.
func (noConnections) Counted(bool) []*skepv1.ConnectionInfo { return nil }

// Begin implements server.Usage.
func (noUsage) Begin() server.Meter { return noUsage{} }

// Take implements server.Meter.
func (noUsage) Take() (rows []*skepv1.TopRow, measured time.Duration, uncounted uint64) {
	return nil, 0, 0
}

// End implements server.Meter.
func (noUsage) End() {}
