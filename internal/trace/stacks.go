// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
)

// address are the values that are addresses of code or data.
func (d *decoder) address(t bt.Type, data []byte) render.Value {
	word := uint64(number(data, 8, false))
	pid := int(uint32(number(at(data, 8), 8, false)))
	switch t.Kind {
	case bt.KSymbol:
		return render.Value{Kind: render.Symbol, Int: int64(word), Frames: []render.Frame{d.names.kernel(word)}}
	case bt.USymbol:
		return render.Value{Kind: render.Symbol, Int: int64(word), Frames: []render.Frame{d.names.process(pid, word)}}
	}
	out := render.Value{Kind: render.Stack, Int: int64(word)}
	switch {
	case t.Raw:
		out.Form = render.Addresses
	case t.Perf:
		out.Form = render.AsPerf
	}
	for _, address := range d.stack(t, int64(word)) {
		if t.Kind == bt.KStack {
			out.Frames = append(out.Frames, d.names.kernel(address))
		} else {
			out.Frames = append(out.Frames, d.names.process(pid, address))
		}
	}
	return out
}

// stack are the addresses of a stack by its identifier, which is negative if there was none.
func (d *decoder) stack(t bt.Type, id int64) []uint64 {
	if id < 0 || d.maps[t.Name] == nil {
		return nil
	}
	values, err := d.group.Lookup(t.Name, binary.NativeEndian.AppendUint32(nil, uint32(id)))
	if err != nil || len(values) == 0 {
		return nil
	}
	var out []uint64
	for raw := values[0]; len(raw) >= 8 && (t.Depth == 0 || len(out) < t.Depth); raw = raw[8:] {
		address := binary.NativeEndian.Uint64(raw)
		if address == 0 {
			break
		}
		out = append(out, address)
	}
	return out
}
