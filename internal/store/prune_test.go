// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

// TestPruneKeepsMatches holds what is passed over unread against the filter itself: records
// of every kind, in which each field has a value of its own, are asked for by each of
// these values, with each field of a filter. All that the filter matches must be found.
func TestPruneKeepsMatches(t *testing.T) {
	var values uniques
	var records []*skepv1.Record
	for i, kind := range event.Kinds() {
		for n := range 2 {
			r := values.record(t, kind.String())
			r.Seq, r.Time = uint64(n), timestamppb.New(day.Start.Add(time.Duration(2*i+n)*time.Second))
			records = append(records, r)
		}
	}
	closed, open := history(t, records, 1, 1), history(t, records, 1, 0)
	asked := map[string]int{}
	for field, specs := range values.filters() {
		for _, spec := range specs {
			filter, err := filters.Compile(spec, filters.Deps{})
			if err != nil {
				t.Fatal(spec, err)
			}
			want, hosts := []string{}, 0
			for _, r := range records {
				if filter.Match(r) {
					want = append(want, r.Kind+strconv.FormatUint(r.Seq, 10))
					if r.Process != nil {
						hosts++
					}
				}
			}
			if hosts == 0 { // as most values are, with most fields
				continue
			}
			asked[field]++
			for shape, s := range map[string]*Store{"segments": closed, "a log": open} {
				var got []string
				for _, r := range ask(t, s, time.Time{}, time.Time{}, spec) {
					got = append(got, r.Kind+strconv.FormatUint(r.Seq, 10))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %v: found %v, the filter matches %v", shape, spec, got, want)
				}
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(values.filters())) {
		t.Logf("%s: asked for %d values", field, asked[field])
		if asked[field] == 0 {
			t.Errorf("%s matches nothing: the test tests nothing", field)
		}
	}
	// A kind that has two ends is found by each of them.
	if want := 2 * 2 * 6; asked["ports"] != want || asked["addrs"] != 2*want {
		t.Errorf("asked for %d ports and %d addresses and prefixes, want %d and %d", asked["ports"], asked["addrs"], want, 2*want)
	}
}

// uniques makes records in which no two fields are alike, and knows their values.
type uniques struct {
	n       uint32
	texts   map[string]string // field by value
	numbers []uint32
}

// connectionKinds have another body than their name says.
var connectionKinds = []string{"connect", "accept", "close", "listen", "udp"}

func (d *uniques) record(t *testing.T, kind string) *skepv1.Record {
	r := &skepv1.Record{}
	name := kind
	if slices.Contains(connectionKinds, kind) {
		name = "connection"
	}
	body := recordType.Oneofs().ByName("body").Fields().ByName(protoreflect.Name(name))
	if body == nil {
		t.Fatalf("the test does not know what body records of kind %q have", kind)
	}
	populate(r.ProtoReflect())
	populate(r.ProtoReflect().Mutable(body).Message())
	d.fill(r.ProtoReflect(), "")
	r.Kind, r.BootId, r.NodeId = kind, day.Boot, day.Node
	r.Pod, r.Namespace = r.Process.Container.Pod, r.Process.Container.Namespace // as the agent sets them
	if r.GetLoss() != nil || r.GetAgent() != nil {
		r.Process, r.Pod, r.Namespace = nil, "", "" // about skep, not about a process
	}
	if r.GetLoss() != nil {
		r.GetLoss().LostKind = "exec"
	}
	return r
}

func (d *uniques) fill(m protoreflect.Message, path string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := path + string(f.Name())
		switch {
		case f.IsList() || f.IsMap() || f.Message() == (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor():
		case f.Message() != nil:
			d.fill(v.Message(), name+".")
		case f.Kind() == protoreflect.Uint32Kind:
			d.n++
			d.numbers = append(d.numbers, d.n)
			m.Set(f, protoreflect.ValueOfUint32(d.n))
		case f.Kind() == protoreflect.StringKind:
			d.n++
			text := fmt.Sprintf("/text/number-%d/x", d.n)
			if f.Name() == "address" {
				text = netip.AddrFrom4([4]byte{10, 9, byte(d.n >> 8), byte(d.n)}).String()
			}
			if d.texts == nil {
				d.texts = map[string]string{}
			}
			d.texts[text] = name
			m.Set(f, protoreflect.ValueOfString(text))
		}
		return true
	})
}

// filters are those that ask for one value, by the field of the filter.
func (d *uniques) filters() map[string][]*skepv1.Filter {
	all := map[string][]*skepv1.Filter{}
	add := func(field string, spec *skepv1.Filter) { all[field] = append(all[field], spec) }
	compared := map[string]bool{}
	for text, path := range d.texts {
		add("comms", &skepv1.Filter{Comms: []string{text}})
		add("exes", &skepv1.Filter{Exes: []string{text}})
		add("directories", &skepv1.Filter{Exes: []string{text[:len(text)-1]}})
		add("containers", &skepv1.Filter{Containers: []string{text}})
		add("id prefixes", &skepv1.Filter{Containers: []string{text[:len(text)-2]}})
		if a, err := netip.ParseAddr(text); err == nil {
			add("addrs", &skepv1.Filter{Addrs: []string{text}})
			add("addrs", &skepv1.Filter{Addrs: []string{netip.PrefixFrom(a, 31).String()}})
		}
		if !compared[path] { // each compilation takes some milliseconds
			compared[path] = true
			add("where", &skepv1.Filter{Where: "record." + path + " == " + strconv.Quote(text)})
		}
	}
	for _, n := range d.numbers {
		add("pids", &skepv1.Filter{Pids: []uint32{n}})
		add("uids", &skepv1.Filter{Uids: []uint32{n}})
		add("ports", &skepv1.Filter{Ports: []uint32{n}})
	}
	for field, specs := range all {
		for i, spec := range slices.Clone(specs) { // as skep observe --kind asks
			if i%7 == 0 {
				named := proto.CloneOf(spec)
				for _, k := range event.Kinds() {
					named.Kinds = append(named.Kinds, k.String())
				}
				specs[i] = named
			}
		}
		all[field] = specs
	}
	return all
}
