// SPDX-License-Identifier: Apache-2.0

// Package agent wires the capabilities into what skepd runs: it is the only place
// where sensors, identity, the event log and the API meet.
//
// Start order is the order of Start's steps, stop is its reverse. A start that fails
// leaves nothing behind in the kernel.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	flowdns "github.com/skep-io/skep/internal/flow/dns"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/redact"
	"github.com/skep-io/skep/internal/sensor/dns"
	"github.com/skep-io/skep/internal/sensor/files"
	"github.com/skep-io/skep/internal/sensor/host"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/internal/sensor/tcp"
	"github.com/skep-io/skep/internal/sensor/udp"
	"github.com/skep-io/skep/internal/sensor/unix"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/store"
)

// How many connections that are over are remembered, and for how long.
const (
	maxClosed = 4096
	closedFor = 5 * time.Minute
)

// Options are what the command line adds to the configuration.
type Options struct {
	Config config.Config
	// ConfigPath is the file that it was read from, which need not be there.
	ConfigPath string
	// Version is shown in status and in the agent's records.
	Version string
	// Private makes an agent that pins nothing and leaves nothing.
	Private bool
	// Scripts makes a private agent that only runs scripts: without sensors and tables.
	Scripts bool
	// Ephemeral makes a clean stop take the pinned kernel side away too.
	Ephemeral bool
	// Force names the only rung to try, by signal (for tests).
	Force map[string]string
	// Second is how long a second of the budget takes, at most one: measurements, and the time over which it decides
	// (for tests); 0 is one.
	Second time.Duration
	// Load reads the configuration again, and Reload says when to.
	Load   func() (config.Config, error)
	Reload <-chan struct{}
	// Level is that of Logger.
	Level *slog.LevelVar
	// Tail has the last lines of Logger; it may be nil.
	Tail *Tail
	// Ready is called once the agent answers on its socket.
	Ready  func()
	Logger *slog.Logger
}

// Agent is a running agent.
type Agent struct {
	options Options
	logger  *slog.Logger
	started time.Time

	node       identity.Node
	hierarchy  cgroup.Hierarchy
	index      *cgroup.Index
	containers *container.Table
	kernel     *kern.Kernel
	reader     *kern.Reader
	signals    signals // but those of the file and host sensors, which come and go
	files      *fileWatch
	host       *hostWatch
	attachedNS uint64 // boot time at which all programs were attached
	places     *placer
	secrets    *redact.Redactor
	processes  *identity.Table
	flows      *flow.Table
	traffic    *traffic
	datagrams  *datagrams
	clock      *clock
	log        *event.Log
	sink       *sink
	costs      *costs
	store      *store.Store // nil without a disk log
	tracer     *tracer      // nil before there is a server
	installed  *installed
	server     *server.Server
	listeners  []net.Listener // of the API
	audit      io.WriteCloser
	metrics    *metrics
	outputs    *outputs
	budget     *keeper
	inForce    atomic.Pointer[config.Config] // after reloads
	scanNeeded chan struct{}
}

// Run starts an agent and runs it until ctx ends.
func Run(ctx context.Context, options Options) error {
	a := &Agent{options: options, logger: options.Logger, started: time.Now(), scanNeeded: make(chan struct{}, 1)}
	a.inForce.Store(&options.Config)
	limitMemory(&options.Config)
	if options.Scripts {
		return a.runScripts(ctx)
	}
	if err := a.start(); err != nil {
		return errors.Join(err, a.abort())
	}
	if options.Ready != nil {
		options.Ready()
	}
	a.logger.Info("agent runs", "version", options.Version, "socket", options.Config.Socket, "adopted", a.kernel.Adopted())
	err := a.serve(ctx)
	return errors.Join(err, a.stop())
}

// start takes the steps that can fail, cheapest first: nothing is attached before the
// data directory and the socket are known to be usable.
func (a *Agent) start() error {
	steps := []func() error{
		kern.Preflight, a.openRedact, a.openData, a.openCgroups, a.openSocket, a.openListener, a.openMetrics, a.openKernel, a.attach, a.scanExisting, a.scanSockets, a.scanDatagramSockets, a.openStore, a.openServer, a.openShip,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) openRedact() error {
	rules, err := a.options.Config.Redact.Rules()
	if err != nil {
		return fmt.Errorf("compile redact: %w", err)
	}
	a.secrets = redact.New(rules)
	return nil
}

func (a *Agent) openCgroups() error {
	var err error
	if a.hierarchy, err = cgroup.ChooseLive(); err != nil {
		return err // says what it was
	}
	a.index = cgroup.NewIndex(a.hierarchy)
	a.containers = container.NewTable(a.index, container.Options{
		Sockets:    runtimeSockets(a.options.Config.Containers.Sockets),
		OnResolved: func(*container.Container) { a.sink.refresh.Store(true) },
		Log:        a.logger,
	})
	if err := a.index.Scan(); err != nil {
		return fmt.Errorf("scan cgroups: %w", err)
	}
	a.places = newPlacer(a.index, a.containers)
	a.processes = identity.New(identity.NewNames(a.node), a.places, a.options.Config.Tables.ExitedProcesses, a.secrets)
	return nil
}

func (a *Agent) openKernel() error {
	constants, err := cgroupConstants(a.hierarchy)
	if err != nil {
		return err
	}
	constants["cfg_probe_read"] = kern.Lockdown() != "confidentiality"
	cfg := a.options.Config
	constants[dns.PortsConstant] = dns.Ports(cfg.Sensors.DNS.Ports)
	constants["cfg_critical_wakeup"] = uint64(cfg.Rings.CriticalBytes) / 8
	constants["cfg_telemetry_wakeup"] = uint64(cfg.Rings.TelemetryBytes) / 8
	options := kern.Options{
		Words: layout,
		MapEntries: map[string]uint32{
			"critical": uint32(cfg.Rings.CriticalBytes), "telemetry": uint32(cfg.Rings.TelemetryBytes),
			"processes": uint32(cfg.Tables.Processes), udp.FlowsMap: uint32(cfg.Tables.Connections / 4),
		},
		Constants: constants,
		Cgroup2:   cgroup.RootV2(),
		Force:     a.options.Force,
		Logger:    a.logger,
	}
	if !a.options.Private {
		options.PinRoot = cfg.BPFFS
	}
	a.kernel, err = kern.Open(options, a.sensors()...)
	return err
}

// sensors are those that the configuration wants. The process sensor is not among the
// choices: it is the identity of everything else.
func (a *Agent) sensors() []kern.Sensor {
	sensors := []kern.Sensor{process.Sensor()}
	if a.options.Config.Sensors.TCP.Enabled {
		sensors = append(sensors, tcp.Sensor())
	}
	if a.options.Config.Sensors.DNS.Enabled {
		sensors = append(sensors, dns.Sensor())
	}
	if len(a.options.Config.Sensors.Files.Paths) > 0 {
		sensors = append(sensors, files.Sensor())
	}
	if a.options.Config.Sensors.UDP.Enabled {
		sensors = append(sensors, udp.Sensor())
	}
	if a.options.Config.Sensors.Unix.Enabled {
		sensors = append(sensors, unix.Sensor())
	}
	// Whole: a change of what is wanted of it does not make another kernel side.
	sensors = append(sensors, host.Sensor())
	return sensors
}

// wanted are the sensors with what will be attached of them.
func (a *Agent) wanted() []kern.Sensor {
	sensors := a.sensors()
	for i, s := range sensors {
		if s.Name == host.Sensor().Name {
			sensors[i], _ = host.Plan(a.options.Config.Sensors.Host.Calls)
		}
	}
	return sensors
}

func (a *Agent) attach() error {
	a.kernel.Prepare(a.wanted()...)
	for _, s := range a.sensors() {
		if s.Name == files.Sensor().Name || s.Name == host.Sensor().Name {
			continue
		}
		signals, err := a.kernel.Attach(s)
		a.signals.set(s.Name, signals)
		if err != nil {
			return err
		}
	}
	a.files = newFileWatch(a.kernel, a.logger)
	if err := a.files.set(a.options.Config.Sensors.Files.Paths); err != nil {
		return err
	}
	a.host = newHostWatch(a.kernel, a.logger)
	if err := a.host.set(a.options.Config.Sensors.Host.Calls); err != nil {
		return err
	}
	a.attachedNS = bootNS()
	reader, err := a.kernel.Reader()
	if err != nil {
		return err
	}
	a.reader = reader
	state, err := a.kernel.State()
	if err != nil {
		return err
	}
	a.clock = newClock()
	names := flowdns.NewNames()
	a.flows = flow.New(flow.Options{
		MaxOpen: a.options.Config.Tables.Connections, MaxClosed: maxClosed, ClosedFor: closedFor,
		Wall: func(bootNS uint64) time.Time { return a.clock.Wall(bootNS).AsTime() },
		Name: names.Of,
	})
	a.log = event.NewLog(event.LogOptions{Bytes: int(a.options.Config.History.MaxBytes)})
	a.costs = newCosts(a.kernel, a.options.second())
	a.sink = &sink{
		kernel: a.kernel, costs: a.costs, processes: a.processes, flows: a.flows, containers: a.containers, places: a.places,
		files: a.files, secrets: a.secrets, logger: a.logger, calls: make(chan func()), rescan: a.requestScan,
		recorder: &recorder{node: a.node, cluster: a.options.Config.Cluster, clock: a.clock, state: state, log: a.log},
	}
	a.sink.queries = flowdns.New(names, a.sink.publishDNS)
	a.traffic = newTraffic(a.kernel, a.signals.rung, a.logger)
	a.budget = newKeeper(a)
	return a.openDatagrams(names)
}

// abort undoes a start that failed half-way.
func (a *Agent) abort() error {
	var errs []error
	for _, l := range a.listeners {
		errs = append(errs, l.Close())
	}
	if a.metrics != nil && a.metrics.listener != nil {
		errs = append(errs, a.metrics.listener.Close())
	}
	if a.reader != nil {
		errs = append(errs, a.reader.Close())
	}
	if a.kernel != nil {
		errs = append(errs, a.kernel.Abort())
	}
	return errors.Join(append(errs, a.closeData())...)
}

func (a *Agent) closeData() error {
	if a.audit == nil {
		return nil
	}
	return a.audit.Close()
}
