// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace"
	"github.com/skep-io/skep/internal/trace/host"
	"github.com/skep-io/skep/tools"
)

// tracer implements server.Tracer: it reads, compiles, loads and runs scripts.
type tracer struct {
	host   *host.Host
	logger *slog.Logger
	// cgroups are the identifiers of a container's cgroups, as programs see them.
	cgroups func(name string) ([]uint64, error)
	// foreign: they are of a hierarchy of cgroup v1, which programs see by the identity only.
	foreign bool
	// identity is what the agent knows of processes, and shared the maps that it knows them
	// by in the kernel; nil without a process sensor.
	identity *scriptIdentity
	shared   map[string]*kern.SharedMap
	// exposed are the scripts whose maps are metrics.
	exposed exposed
	// metricsServed tells whether anybody can read them.
	metricsServed func() bool
}

// What a script may take, and takes if it does not say. See skepv1.TraceLimits.
const (
	maxScriptMapEntries = 1 << 20
	maxScriptRing       = 64 << 20
	maxScriptRate       = 1_000_000
	maxScriptProbes     = 10_000
	// maxScriptEvents in one message.
	maxScriptEvents = 1024
)

type sendEvents func(...*skepv1.TraceEvent) error

// ToolRole implements server.Tracer.
func (t *tracer) ToolRole(name string) (skepv1.Role, bool) {
	tool, err := tools.Get(name)
	switch {
	case err != nil:
		return skepv1.Role_ROLE_UNSPECIFIED, false
	case tool.Role == tools.Operate:
		return skepv1.Role_ROLE_OPERATE, true
	}
	return skepv1.Role_ROLE_ADMIN, true
}

// Trace implements server.Tracer. A fault of the compiler ends the script and not the agent.
func (t *tracer) Trace(ctx context.Context, req *skepv1.TraceRequest, end <-chan string, send func(...*skepv1.TraceEvent) error) error {
	return t.trace(ctx, "", req, end, send)
}

// trace is Trace, of an installed script if it has a name.
func (t *tracer) trace(ctx context.Context, name string, req *skepv1.TraceRequest, end <-chan string, send sendEvents) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			t.logger.Error("a script made the agent fail, which is a fault of skep", "name", req.GetName(), "fault", fault, "stack", string(debug.Stack()))
			err = fmt.Errorf("run the script: a fault of skep, not of the script: %v; the agent's log has more", fault)
		}
	}()
	if req.GetPattern() != "" {
		return t.list(req, send)
	}
	job := &traceJob{tracer: t, name: name, req: req, send: send, begun: time.Now()}
	if err := job.takeTool(); err != nil {
		return err
	}
	return job.do(ctx, end)
}

// traceJob is one request.
type traceJob struct {
	*tracer
	req   *skepv1.TraceRequest
	send  sendEvents
	begun time.Time
	tool  *toolRun // or nil

	compiled, loaded time.Duration
	script           *bt.Script
	codes            []*compile.Code
	instructions     int
	// name is that of an installed script, "" for one that a client listens to.
	name    string
	metrics string // its label
}

func (j *traceJob) do(ctx context.Context, end <-chan string) error {
	program, errs := syntax.Parse(j.req.GetScript(), j.req.GetArgs())
	if len(errs) > 0 {
		return j.wrong(syntaxErrors(errs))
	}
	switch j.req.GetMode() {
	case skepv1.TraceMode_TRACE_MODE_EMIT_AST:
		return j.emit(syntax.Print(program))
	case skepv1.TraceMode_TRACE_MODE_LIST:
		return j.listScript(program)
	}
	options, err := j.options()
	if err != nil {
		return err
	}
	if err := j.tool.apply(program, &options); err != nil {
		return err
	}
	script, problems := bt.Compile(program, j.host, options)
	if script == nil {
		return j.wrong(diagnostics(problems, skepv1.TraceDiagnostic_SEVERITY_ERROR))
	}
	if err := j.tool.idle(script); err != nil {
		return errors.Join(j.tell(diagnostics(script.Warnings, skepv1.TraceDiagnostic_SEVERITY_WARNING)), err)
	}
	j.script = script
	if problems := j.needsClient(); len(problems) > 0 {
		return j.wrong(diagnostics(problems, skepv1.TraceDiagnostic_SEVERITY_ERROR))
	}
	if len(script.Warnings) > 0 {
		if err := j.tell(diagnostics(script.Warnings, skepv1.TraceDiagnostic_SEVERITY_WARNING)); err != nil {
			return err
		}
	}
	if j.req.GetMode() == skepv1.TraceMode_TRACE_MODE_EMIT_IR {
		return j.emit(j.representation())
	}
	if err := j.compile(ctx); err != nil {
		return err
	}
	if j.req.GetMode() == skepv1.TraceMode_TRACE_MODE_EMIT_ASM {
		return j.emit(j.assembly())
	}
	return j.load(ctx, end)
}

// needsClient is what an installed script cannot do: nobody is there to do it with his own rights.
func (j *traceJob) needsClient() (problems []bt.Diagnostic) {
	for _, a := range j.script.Actions {
		if j.name != "" && (a.Kind == bt.SystemCommand || a.Kind == bt.Cat) {
			problems = append(problems, bt.Diagnostic{Pos: a.Pos, Text: "system() and cat() run in the client, and an installed script has none"})
		}
	}
	return problems
}

// options are what the request adds to the script.
func (j *traceJob) options() (bt.Options, error) {
	o := bt.Options{
		PID: int(j.req.GetPid()), ChildPID: int(j.req.GetCommandPid()), HasChild: j.req.GetCommandPid() != 0,
		Unsafe: j.req.GetUnsafe(), HelperErrors: j.req.GetHelperErrors(), Limits: bt.DefaultLimits(), Settings: j.req.GetSettings(), Directory: j.req.GetDirectory(),
	}
	if o.PID != 0 && errors.Is(unix.Kill(o.PID, 0), unix.ESRCH) {
		return o, fmt.Errorf("look at process %d: there is none", o.PID)
	}
	l := j.req.GetLimits()
	for _, limit := range []struct {
		name      string
		want, max uint64
		into      *int
	}{
		{"map_entries", uint64(l.GetMapEntries()), maxScriptMapEntries, &o.Limits.MaxMapKeys},
		{"ring_bytes", l.GetRingBytes(), maxScriptRing, &o.Limits.RingBytes},
		{"probes", uint64(l.GetProbes()), maxScriptProbes, &o.Limits.MaxProbes},
		{"events_per_second", uint64(l.GetEventsPerSecond()), maxScriptRate, new(int)},
	} {
		switch {
		case limit.want > limit.max:
			return o, fmt.Errorf("limits: %s may be %d at most, not %d", limit.name, limit.max, limit.want)
		case limit.want > 0:
			*limit.into = int(limit.want)
		}
	}
	if j.identity != nil {
		o.Identity = j.identity.ofScript()
	}
	var err error
	if j.req.GetContainer() != "" {
		o.Cgroups, err = j.cgroups(j.req.GetContainer())
		o.CgroupsOfIdentity = j.foreign
	}
	return o, err
}

// compile stops between two programs if nobody waits for them any more.
func (j *traceJob) compile(ctx context.Context) error {
	options := trace.CompileOptions(j.host.Machine())
	for _, p := range j.script.Probes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		code, err := compile.Compile(p.Program, options)
		if err != nil {
			text := fmt.Sprintf("this cannot be compiled: %v", err)
			return j.wrong(diagnostics([]bt.Diagnostic{{Pos: p.Pos, Text: text}}, skepv1.TraceDiagnostic_SEVERITY_ERROR))
		}
		j.codes = append(j.codes, code)
		j.instructions += code.Stats.Slots
	}
	j.compiled = time.Since(j.begun)
	return nil
}

// load loads the script, and runs it unless it is only tried.
func (j *traceJob) load(ctx context.Context, end <-chan string) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	options := trace.Options{PerSecond: int(j.req.GetLimits().GetEventsPerSecond()), Shared: j.shared, Confirms: j.req.GetConfirms(), Command: j.req.GetCommandPid() != 0}
	if j.identity != nil {
		options.Identity = j.identity.ofScript()
	}
	session, err := trace.Load(j.host, j.script, j.codes, options)
	var rejected *trace.Rejected
	if errors.As(err, &rejected) {
		return j.wrong([]*skepv1.TraceDiagnostic{rejection(rejected)})
	}
	if err != nil {
		return fmt.Errorf("load the script: %w", err)
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	j.loaded = time.Since(j.begun)
	if j.req.GetMode() == skepv1.TraceMode_TRACE_MODE_DRY_RUN {
		return j.send(j.ready())
	}
	if j.req.GetMetrics() {
		var conceal func()
		j.metrics, conceal = j.exposed.add(j.label(), session)
		defer conceal() // before it is closed
		if !j.metricsServed() {
			text := "its maps are metrics that nobody can read: the agent serves none (metrics.listen in skep.yaml)"
			if err := j.tell(diagnostics([]bt.Diagnostic{{Text: text}}, skepv1.TraceDiagnostic_SEVERITY_WARNING)); err != nil {
				return err
			}
		}
	}
	result, err := session.Run(ctx, end, j.outputs)
	if err != nil {
		return fmt.Errorf("run the script: %w", err)
	}
	return j.send(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ended{Ended: &skepv1.TraceEnded{Code: int32(result.Code), Reason: result.Reason}}})
}

// ready tells of all probes.
func (j *traceJob) ready() *skepv1.TraceEvent {
	took := time.Since(j.begun)
	r := &skepv1.TraceReady{
		Took: durationpb.New(took), Compiling: durationpb.New(j.compiled), Loading: durationpb.New(j.loaded - j.compiled),
		Attaching: durationpb.New(took - j.loaded), Instructions: uint32(j.instructions), Metrics: valid(j.metrics),
	}
	r.Probes = traceProbes(j.script)
	return &skepv1.TraceEvent{Body: &skepv1.TraceEvent_Ready{Ready: r}}
}

// wrong tells what is wrong in the script, which then does not run.
func (j *traceJob) wrong(list []*skepv1.TraceDiagnostic) error {
	if err := j.tell(list); err != nil {
		return err
	}
	return server.ErrScript
}
