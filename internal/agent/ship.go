// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/ship"
)

// outputs are the running outputs by name. A reload adds, changes and removes them.
type outputs struct {
	agent *Agent

	mutex   sync.Mutex
	running map[string]*running
	context context.Context // nil until run
	group   sync.WaitGroup
}

type running struct {
	output *ship.Output
	config config.Output
	stop   context.CancelFunc
}

// openShip makes the outputs, at the very beginning of the log.
func (a *Agent) openShip() error {
	a.outputs = &outputs{agent: a, running: map[string]*running{}}
	a.sink.outputs = a.outputs
	return a.outputs.set(a.options.Config.Ship)
}

// set makes the outputs those of a configuration. All are checked before one is changed.
func (o *outputs) set(wanted map[string]config.Output) error {
	specs := map[string]*ship.Spec{}
	for name, cfg := range wanted {
		spec, err := o.agent.shipSpec(cfg)
		if err != nil {
			return fmt.Errorf("make output %s: %w", name, err)
		}
		specs[name] = spec
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for name, r := range o.running {
		if _, stays := wanted[name]; !stays {
			r.end()
			delete(o.running, name)
		}
	}
	for name, spec := range specs {
		r := o.running[name]
		switch {
		case r == nil:
			r = &running{output: ship.New(name, spec, o.agent.shipDeps())}
			o.running[name] = r
			o.start(r)
		case !reflect.DeepEqual(r.config, wanted[name]):
			r.output.Replace(spec)
		}
		r.config = wanted[name]
	}
	return nil
}

// end stops an output that is not wanted any more.
func (r *running) end() {
	if r.stop != nil {
		r.stop()
	}
}

func (o *outputs) start(r *running) {
	if o.context == nil {
		return
	}
	ctx, stop := context.WithCancel(o.context)
	r.stop = stop
	o.group.Go(func() { r.output.Run(ctx) })
}

// run delivers until the log ends and all is delivered, or ctx does.
func (o *outputs) run(ctx context.Context) error {
	o.mutex.Lock()
	o.context = ctx
	for _, r := range o.running {
		o.start(r)
	}
	o.mutex.Unlock()
	<-ctx.Done()
	o.group.Wait()
	return nil
}

// each calls f for every output, in the order of their names.
func (o *outputs) each(f func(name string, output *ship.Output)) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, name := range slices.Sorted(maps.Keys(o.running)) {
		f(name, o.running[name].output)
	}
}

func (o *outputs) status() (all []*skepv1.OutputStatus) {
	o.each(func(name string, output *ship.Output) {
		s := output.Stats()
		status := &skepv1.OutputStatus{Name: name, Type: s.Type, Target: s.Target, Delivered: s.Delivered, Failures: s.Failures, LastError: s.LastError}
		for _, n := range s.Lost {
			status.Lost += n
		}
		all = append(all, status)
	})
	return all
}

// losses adds what each output has lost to the counters by place.
func (o *outputs) losses(add func(place, kind string, n uint64)) {
	o.each(func(name string, output *ship.Output) {
		lost := output.Stats().Lost
		for _, kind := range slices.Sorted(maps.Keys(lost)) {
			add("ship:"+name, kind, lost[kind])
		}
	})
}

// reportShipped tells the stream of what outputs have lost since the last time.
func (s *sink) reportShipped() {
	if s.outputs == nil {
		return
	}
	s.outputs.each(func(name string, output *ship.Output) {
		for kind, n := range output.NewLosses() {
			s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
				LostKind: kind, Count: n, Place: "ship:" + name, Detail: "not lost to other readers of the stream",
			}}})
		}
	})
}

func (a *Agent) shipNode() ship.Node {
	return ship.Node{ID: a.node.ID, BootID: a.node.BootID, Name: a.node.Name, Version: a.options.Version}
}

func (a *Agent) shipDeps() ship.Deps {
	return ship.Deps{Log: a.log, Node: a.shipNode(), Logger: a.logger}
}

func (a *Agent) shipSpec(cfg config.Output) (*ship.Spec, error) {
	filter, err := event.Compile(cfg.Filter(), event.FilterDeps{})
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.File.Path != "":
		return ship.NewFile(ship.FileOptions{Path: cfg.File.Path, MaxBytes: int64(cfg.File.MaxBytes), Keep: cfg.File.Keep}, filter), nil
	case cfg.Syslog.Address != "":
		network, address, err := cfg.Syslog.Dial()
		if err != nil {
			return nil, err
		}
		facility, err := cfg.Syslog.FacilityNumber()
		if err != nil {
			return nil, err
		}
		return ship.NewSyslog(ship.SyslogOptions{Network: network, Address: address, Facility: facility}, a.shipNode(), filter), nil
	}
	return ship.NewOTLP(ship.OTLPOptions{
		Endpoint: cfg.OTLP.Endpoint, Headers: cfg.OTLP.Headers, Metrics: cfg.OTLP.Metrics, Started: a.started, Gather: a.server.Gatherer().Gather,
	}, a.shipNode(), filter)
}

func (a *Agent) applyShip(now *config.Config) error { return a.outputs.set(now.Ship) }
