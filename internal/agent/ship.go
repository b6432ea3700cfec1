// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/internal/ship"
)

// outputs are the running outputs by name. A reload adds, changes and removes them.
type outputs struct {
	agent *Agent

	mutex   sync.Mutex
	running map[string]*running
	removed []*running // by a reload, until they have ended and what they lost is told
	// past is what removed outputs have lost, by name and kind: counters do not go back.
	past    map[string]map[string]uint64
	context context.Context // nil until start
}

type running struct {
	name   string
	output *ship.Output
	config config.Output
	stop   context.CancelFunc
}

// openShip makes the outputs, at the very beginning of the log.
func (a *Agent) openShip() error {
	a.outputs = &outputs{agent: a, running: map[string]*running{}, past: map[string]map[string]uint64{}}
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
			o.removed = append(o.removed, r)
			delete(o.running, name)
			go r.end(streamGrace)
		}
	}
	for name, spec := range specs {
		r := o.running[name]
		switch {
		case r == nil:
			r = &running{name: name, output: ship.New(name, spec, o.agent.shipDeps())}
			o.running[name] = r
			o.launch(r)
		case !reflect.DeepEqual(r.config, wanted[name]):
			r.output.Replace(spec)
		}
		r.config = wanted[name]
	}
	return nil
}

// end stops an output that is not wanted any more, once it has delivered what is in the
// log, or has had its time for it. What it has not is counted.
func (r *running) end(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	r.output.Settle(ctx)
	r.stop()
	<-r.output.Ended()
}

func (o *outputs) launch(r *running) {
	if o.context == nil {
		return
	}
	ctx, stop := context.WithCancel(o.context)
	r.stop = stop
	go r.output.Run(ctx)
}

// start begins to deliver, until the log ends and all is delivered, or ctx does.
func (o *outputs) start(ctx context.Context) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.context = ctx
	for _, r := range o.running {
		o.launch(r)
	}
}

// settle gives all outputs some time to deliver what is in the log. Those that do not are
// ended, so that what they lose is known before the log ends.
func (o *outputs) settle(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var group sync.WaitGroup
	for _, r := range o.running { // no reload comes any more
		group.Go(func() {
			if !r.output.Settle(ctx) {
				r.stop()
				<-r.output.Ended()
			}
		})
	}
	group.Wait()
	for _, r := range o.removed { // they have had their time
		<-r.output.Ended()
	}
}

// wait returns when all outputs have ended.
func (o *outputs) wait() {
	for _, r := range o.all() {
		<-r.output.Ended()
	}
}

// all are the outputs in the order of their names, removed ones last.
func (o *outputs) all() []*running {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var all []*running
	for _, name := range slices.Sorted(maps.Keys(o.running)) {
		all = append(all, o.running[name])
	}
	return append(all, o.removed...)
}

func (o *outputs) status() (all []*skepv1.OutputStatus) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, name := range slices.Sorted(maps.Keys(o.running)) {
		s := o.running[name].output.Stats()
		status := &skepv1.OutputStatus{Name: name, Type: s.Type, Target: s.Target, Delivered: s.Delivered, Failures: s.Failures, LastError: s.LastError}
		for _, n := range s.Lost {
			status.Lost += n
		}
		all = append(all, status)
	}
	return all
}

// losses adds what each output has lost to the counters by place.
func (o *outputs) losses(add func(place, kind string, n uint64)) {
	o.mutex.Lock()
	lost := map[string]map[string]uint64{}
	count := func(name string, kinds map[string]uint64) {
		if lost[name] == nil {
			lost[name] = map[string]uint64{}
		}
		for kind, n := range kinds {
			lost[name][kind] += n
		}
	}
	for name, kinds := range o.past {
		count(name, kinds)
	}
	for _, r := range slices.Concat(slices.Collect(maps.Values(o.running)), o.removed) {
		count(r.name, r.output.Stats().Lost)
	}
	o.mutex.Unlock()
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		for _, kind := range slices.Sorted(maps.Keys(lost[name])) {
			add("ship:"+name, kind, lost[name][kind])
		}
	}
}

// forget drops a removed output that has ended, and keeps what it has lost.
func (o *outputs) forget(r *running) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	at := slices.Index(o.removed, r)
	if at < 0 {
		return
	}
	o.removed = slices.Delete(o.removed, at, at+1)
	for kind, n := range r.output.Stats().Lost {
		if o.past[r.name] == nil {
			o.past[r.name] = map[string]uint64{}
		}
		o.past[r.name][kind] += n
	}
}

// reportShipped tells the stream of what outputs have lost since the last time.
func (s *sink) reportShipped() {
	if s.outputs == nil {
		return
	}
	for _, r := range s.outputs.all() {
		over := false
		select {
		case <-r.output.Ended():
			over = true
		default:
		}
		for kind, n := range r.output.NewLosses() {
			s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
				LostKind: kind, Count: n, Place: "ship:" + r.name, Detail: "not lost to other readers of the stream",
			}}})
		}
		if over {
			s.outputs.forget(r)
		}
	}
}

func (a *Agent) shipNode() ship.Node {
	return ship.Node{ID: a.node.ID, BootID: a.node.BootID, Name: a.node.Name, Version: a.options.Version}
}

func (a *Agent) shipDeps() ship.Deps {
	return ship.Deps{Log: a.log, Node: a.shipNode(), Logger: a.logger}
}

func (a *Agent) shipSpec(cfg config.Output) (*ship.Spec, error) {
	filter, err := filters.Compile(cfg.Filter(), filters.Deps{})
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
