// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const scopeName = "github.com/skep-io/skep"

// attributes are named by the semantic conventions of OpenTelemetry where they have a
// name for it. Empty ones are left out.
type attributes []*common.KeyValue

func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, &common.KeyValue{Key: key, Value: text(value)})
	}
}

func (a *attributes) number(key string, value uint64) {
	if value != 0 {
		*a = append(*a, &common.KeyValue{Key: key, Value: number(value)})
	}
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func number(n uint64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(n)}}
}

func resourceOf(node Node) *resource.Resource {
	var a attributes
	a.text("service.name", "skep")
	a.text("service.version", node.Version)
	a.text("host.name", node.Name)
	a.text("host.id", node.ID)
	a.text("skep.boot_id", node.BootID)
	return &resource.Resource{Attributes: a}
}

func scopeOf(node Node) *common.InstrumentationScope {
	return &common.InstrumentationScope{Name: scopeName, Version: node.Version}
}

// logsOf makes one log record of each record: the whole of it as JSON in the body, and
// what one searches by as attributes. It takes the first n of them, which are no more than
// maxBytes together, or one.
func logsOf(node Node, records []*skepv1.Record, maxBytes int) (all []*logs.ResourceLogs, n int) {
	now := uint64(time.Now().UnixNano())
	scoped := &logs.ScopeLogs{Scope: scopeOf(node)}
	for size := 0; n < len(records); n++ {
		l := logOf(records[n], now)
		if size += proto.Size(l); size > maxBytes && n > 0 {
			break
		}
		scoped.LogRecords = append(scoped.LogRecords, l)
	}
	return []*logs.ResourceLogs{{Resource: resourceOf(node), ScopeLogs: []*logs.ScopeLogs{scoped}}}, n
}

func logOf(r *skepv1.Record, now uint64) *logs.LogRecord {
	l := &logs.LogRecord{
		TimeUnixNano: uint64(r.GetTime().AsTime().UnixNano()), ObservedTimeUnixNano: now, EventName: "skep." + r.GetKind(),
		SeverityNumber: logs.SeverityNumber_SEVERITY_NUMBER_INFO, SeverityText: "INFO",
		Body: text(string(event.AppendJSON(nil, r))),
	}
	if severity(r) == severityWarning {
		l.SeverityNumber, l.SeverityText = logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	var a attributes
	a.text("skep.kind", r.GetKind())
	a.number("skep.seq", r.GetSeq())
	a.process(r)
	a.connection(r.GetConnection())
	l.Attributes = a
	return l
}

func (a *attributes) process(r *skepv1.Record) {
	p := r.GetProcess()
	a.number("process.pid", uint64(p.GetPid()))
	a.number("process.parent_pid", uint64(p.GetPpid()))
	a.text("process.executable.name", p.GetComm())
	a.text("process.executable.path", p.GetExe())
	a.text("skep.process_id", p.GetProcessId())
	a.text("skep.exec_id", p.GetExecId())
	if args := r.GetExec().GetArgs(); len(args) > 0 {
		list := &common.ArrayValue{}
		for _, arg := range args {
			list.Values = append(list.Values, text(arg))
		}
		*a = append(*a, &common.KeyValue{Key: "process.command_args", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}})
	}
	if exit := r.GetExit(); exit != nil {
		*a = append(*a, &common.KeyValue{Key: "process.exit.code", Value: number(uint64(exit.GetCode()))})
	}
	c := p.GetContainer()
	a.text("container.id", c.GetId())
	a.text("container.name", c.GetName())
	a.text("container.image.name", c.GetImage())
	a.text("container.runtime.name", c.GetRuntime())
	a.text("k8s.cluster.name", r.GetCluster())
	a.text("k8s.namespace.name", r.GetNamespace())
	a.text("k8s.pod.name", r.GetPod())
	a.text("k8s.pod.uid", c.GetPodUid())
}

func (a *attributes) connection(c *skepv1.Connection) {
	if c == nil {
		return
	}
	a.text("network.transport", "tcp")
	a.text("network.type", c.GetFamily())
	a.text("network.local.address", c.GetLocal().GetAddress())
	a.number("network.local.port", uint64(c.GetLocal().GetPort()))
	a.text("network.peer.address", c.GetRemote().GetAddress())
	a.number("network.peer.port", uint64(c.GetRemote().GetPort()))
	a.text("error.type", c.GetErrorName())
}
