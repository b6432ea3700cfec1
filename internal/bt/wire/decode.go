// SPDX-License-Identifier: Apache-2.0

package wire

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt/render"
)

// MapOf is a map from its message.
func MapOf(p *skepv1.TracePrint) *render.Map {
	m := &render.Map{Name: p.GetName(), Divisor: p.GetDivisor(), Entries: make([]render.Entry, len(p.GetEntries()))}
	for i, e := range p.GetEntries() {
		m.Entries[i] = render.Entry{Key: ValuesOf(e.GetKey()), Value: ValueOf(e.GetValue())}
	}
	return m
}

// ValuesOf are some from their messages.
func ValuesOf(messages []*skepv1.TraceValue) []render.Value {
	if len(messages) == 0 {
		return nil
	}
	out := make([]render.Value, len(messages))
	for i, m := range messages {
		out[i] = ValueOf(m)
	}
	return out
}

// ValueOf is one from its message, of kind None for a kind that is not known here.
func ValueOf(m *skepv1.TraceValue) render.Value {
	v := render.Value{Size: int(m.GetSize())}
	switch k := m.GetKind().(type) {
	case *skepv1.TraceValue_Signed:
		v.Kind, v.Int = render.Integer, k.Signed
	case *skepv1.TraceValue_Unsigned:
		v.Kind, v.Int = render.Unsigned, int64(k.Unsigned)
	case *skepv1.TraceValue_Truth:
		v.Kind = render.Bool
		if k.Truth {
			v.Int = 1
		}
	case *skepv1.TraceValue_Pointer:
		v.Kind, v.Int = render.Pointer, int64(k.Pointer)
	case *skepv1.TraceValue_Enum:
		v.Kind, v.Int, v.Text = render.Enum, k.Enum.GetNumber(), k.Enum.GetName()
	case *skepv1.TraceValue_Text:
		v.Kind, v.Text = render.Text, string(k.Text)
	case *skepv1.TraceValue_Buffer:
		v.Kind, v.Text = render.Buffer, string(k.Buffer)
	default:
		composed(&v, m)
	}
	return v
}

// composed fills in what consists of more than one thing.
func composed(v *render.Value, m *skepv1.TraceValue) {
	switch k := m.GetKind().(type) {
	case *skepv1.TraceValue_Tuple:
		v.Kind, v.Elems = render.Tuple, elements(k.Tuple)
	case *skepv1.TraceValue_Array:
		v.Kind, v.Elems = render.Array, elements(k.Array)
	case *skepv1.TraceValue_Record:
		v.Kind, v.Elems = render.Record, elements(k.Record)
		for _, f := range k.Record.GetFields() {
			v.Names = append(v.Names, f.GetName())
		}
	case *skepv1.TraceValue_Symbol:
		v.Kind, v.Frames = render.Symbol, []render.Frame{frameOf(k.Symbol)}
	case *skepv1.TraceValue_Stack:
		v.Kind, v.Form = render.Stack, formOf(k.Stack.GetForm())
		for _, f := range k.Stack.GetFrames() {
			v.Frames = append(v.Frames, frameOf(f))
		}
	case *skepv1.TraceValue_Average:
		v.Kind, v.Int, v.Count = render.Average, k.Average.GetNumber(), k.Average.GetCount()
	case *skepv1.TraceValue_Stats:
		v.Kind, v.Int, v.Count = render.Stats, k.Stats.GetNumber(), k.Stats.GetCount()
	case *skepv1.TraceValue_Histogram:
		v.Kind, v.Linear = render.Histogram, k.Histogram.GetLinear()
		for _, b := range k.Histogram.GetBuckets() {
			v.Buckets = append(v.Buckets, render.Bucket{Low: b.GetLow(), High: b.GetHigh(), Below: b.GetBelow(), Above: b.GetAbove(), Count: b.GetCount()})
		}
	}
}

func elements(m *skepv1.TraceFields) []render.Value {
	out := make([]render.Value, len(m.GetFields()))
	for i, f := range m.GetFields() {
		out[i] = ValueOf(f.GetValue())
	}
	return out
}

func formOf(m skepv1.TraceStack_Form) render.Form {
	if m < skepv1.TraceStack_FORM_NAMES || m > skepv1.TraceStack_FORM_ADDRESSES {
		return render.ByName
	}
	return render.Form(m - 1)
}

func frameOf(m *skepv1.TraceFrame) render.Frame {
	return render.Frame{Address: m.GetAddress(), Name: m.GetSymbol(), Offset: m.GetOffset(), Module: m.GetModule(), User: m.GetUser()}
}
