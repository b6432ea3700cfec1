// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
)

// Print is a map, with the entries that it shows, as a message.
func Print(m *render.Map) *skepv1.TracePrint {
	entries := m.Entries
	if m.Top > 0 && m.Top < len(entries) {
		entries = entries[len(entries)-m.Top:]
	}
	p := &skepv1.TracePrint{Name: m.Name, Divisor: m.Divisor, Entries: make([]*skepv1.TraceEntry, len(entries))}
	for i, e := range entries {
		p.Entries[i] = &skepv1.TraceEntry{Key: Values(e.Key), Value: Value(e.Value)}
	}
	return p
}

// Values are some as messages.
func Values(values []render.Value) []*skepv1.TraceValue {
	if values == nil {
		return nil
	}
	out := make([]*skepv1.TraceValue, len(values))
	for i, v := range values {
		out[i] = Value(v)
	}
	return out
}

// Value is one as a message.
func Value(v render.Value) *skepv1.TraceValue {
	out := &skepv1.TraceValue{Size: uint32(v.Size)}
	switch v.Kind {
	case render.Integer:
		out.Kind = &skepv1.TraceValue_Signed{Signed: v.Int}
	case render.Unsigned:
		out.Kind = &skepv1.TraceValue_Unsigned{Unsigned: uint64(v.Int)}
	case render.Bool:
		out.Kind = &skepv1.TraceValue_Truth{Truth: v.Int != 0}
	case render.Pointer:
		out.Kind = &skepv1.TraceValue_Pointer{Pointer: uint64(v.Int)}
	case render.Enum:
		out.Kind = &skepv1.TraceValue_Enum{Enum: &skepv1.TraceEnum{Number: v.Int, Name: valid(v.Text)}}
	case render.Text:
		out.Kind = &skepv1.TraceValue_Text{Text: []byte(v.Text)}
	case render.Buffer:
		out.Kind = &skepv1.TraceValue_Buffer{Buffer: []byte(v.Text)}
	case render.Tuple:
		out.Kind = &skepv1.TraceValue_Tuple{Tuple: fields(v)}
	case render.Record:
		out.Kind = &skepv1.TraceValue_Record{Record: fields(v)}
	case render.Array:
		out.Kind = &skepv1.TraceValue_Array{Array: fields(v)}
	case render.Symbol:
		if len(v.Frames) > 0 {
			out.Kind = &skepv1.TraceValue_Symbol{Symbol: frame(v.Frames[0])}
		}
	case render.Stack:
		out.Kind = &skepv1.TraceValue_Stack{Stack: stack(v)}
	case render.Average:
		out.Kind = &skepv1.TraceValue_Average{Average: &skepv1.TraceStats{Number: v.Int, Count: v.Count}}
	case render.Stats:
		out.Kind = &skepv1.TraceValue_Stats{Stats: &skepv1.TraceStats{Number: v.Int, Count: v.Count}}
	case render.Histogram:
		out.Kind = &skepv1.TraceValue_Histogram{Histogram: histogram(v)}
	}
	return out
}

// valid: what the kernel and programs call things need not be UTF-8, a message's strings are.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func fields(v render.Value) *skepv1.TraceFields {
	out := &skepv1.TraceFields{Fields: make([]*skepv1.TraceField, len(v.Elems))}
	for i, e := range v.Elems {
		out.Fields[i] = &skepv1.TraceField{Value: Value(e)}
		if i < len(v.Names) {
			out.Fields[i].Name = valid(v.Names[i])
		}
	}
	return out
}

func stack(v render.Value) *skepv1.TraceStack {
	out := &skepv1.TraceStack{Frames: make([]*skepv1.TraceFrame, len(v.Frames)), Form: skepv1.TraceStack_Form(v.Form + 1)}
	for i, f := range v.Frames {
		out.Frames[i] = frame(f)
	}
	return out
}

func frame(f render.Frame) *skepv1.TraceFrame {
	return &skepv1.TraceFrame{Address: f.Address, Symbol: valid(f.Name), Offset: f.Offset, Module: valid(f.Module), User: f.User}
}

func histogram(v render.Value) *skepv1.TraceHistogram {
	out := &skepv1.TraceHistogram{Linear: v.Linear, Buckets: make([]*skepv1.TraceBucket, len(v.Buckets))}
	for i, b := range v.Buckets {
		out.Buckets[i] = &skepv1.TraceBucket{Low: b.Low, High: b.High, Below: b.Below, Above: b.Above, Count: b.Count}
	}
	return out
}
