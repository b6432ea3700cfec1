// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"slices"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/trace/host"
)

// decoder turns the bytes of records and maps into values. It is for one goroutine.
type decoder struct {
	script *bt.Script
	host   *host.Host
	group  *kern.Group
	names  *names
	maps   map[string]*bt.Map
	taken  *taken
	whole  bool // histograms begin with the first bucket, counted or not
	// booted is when the machine started by the time of day, as of when that was compared.
	booted, compared time.Time
}

// row is an entry of a map, and of others with a key that is shown alike.
type row struct {
	raw    []byte
	key    []render.Value // if it is decoded already
	values [][]byte
	value  render.Value
}

// read is what a map holds, of more than so many entries the greatest, and how many more there
// are; if it is to take them the map is empty afterwards.
func (d *decoder) read(m *bt.Map, most int, take bool) (out *render.Map, left int, err error) {
	var rows []*row
	alike := map[string]*row{}
	merges := m.Value.Kind >= bt.CountOf && standsForMore(m.Key)
	cut := func() {
		n := len(rows)
		rows = d.greatest(rows, m.Value, most)
		left += n - len(rows)
	}
	err = d.taken.each(d.group, m, take, func(key []byte, values [][]byte) {
		r := &row{raw: key, values: values}
		if merges {
			r.key = d.key(m.Key, key)
			text := shown(r.key)
			if first := alike[text]; first != nil {
				first.values = append(first.values, values...)
				return
			}
			alike[text] = r
		}
		if rows = append(rows, r); !merges && len(rows) >= 2*most {
			cut() // now, not all of them at the end: there may be a million
		}
	})
	if err != nil {
		return nil, 0, err
	}
	cut()
	out = &render.Map{Name: m.Name, Entries: make([]render.Entry, len(rows))}
	for i, r := range rows {
		if r.key == nil && m.Key.Kind != bt.None {
			r.key = d.key(m.Key, r.raw)
		}
		out.Entries[i] = render.Entry{Key: r.key, Value: r.value}
	}
	out.Sort()
	return out, left, nil
}

// greatest finds the values of rows, and leaves those of the greatest.
func (d *decoder) greatest(rows []*row, t bt.Type, most int) []*row {
	for _, r := range rows {
		if r.values != nil {
			r.value, r.values = d.aggregate(t, r.values), nil
		}
	}
	if len(rows) <= most {
		return rows
	}
	slices.SortFunc(rows, func(a, b *row) int { return render.CompareAmounts(b.value, a.value) })
	clear(rows[most:])
	return rows[:most]
}

// standsForMore tells whether different keys of a type may be shown alike: a container has
// several cgroups, and an executable many processes.
func standsForMore(t bt.Type) bool {
	switch t.Kind {
	case bt.Container, bt.Pod, bt.Executable, bt.Ancestors:
		return true
	}
	for _, f := range t.Fields {
		if standsForMore(f.Type) {
			return true
		}
	}
	return false
}

func shown(key []render.Value) string {
	texts := make([]string, len(key))
	for i, v := range key {
		texts[i] = v.String()
	}
	return strings.Join(texts, "\x00")
}

// key is the parts of a key.
func (d *decoder) key(t bt.Type, data []byte) []render.Value {
	if t.Kind != bt.Tuple {
		return []render.Value{d.value(t, data)}
	}
	parts := []render.Value{}
	for _, f := range t.Fields {
		parts = append(parts, d.value(f.Type, at(data, f.Offset)))
	}
	return parts
}
