// SPDX-License-Identifier: Apache-2.0

package event

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// AppendJSON appends m as one line of JSON: the field names of the schema in
// its order, fields that are empty left out (a message that is set but empty
// is {}), all numbers as numbers, bytes as base64, times as RFC 3339 in UTC
// with nine digits, durations as seconds with an "s", enums as their short
// name in lower case, keys of maps sorted. Nothing in it can be taken for a
// terminal escape or markup: see appendString.
//
// It reads the Go structs of generated messages through package reflect with
// a plan per type, which is several times faster than protoreflect. m must be
// a pointer to such a struct; nil is {}.
func AppendJSON(dst []byte, m proto.Message) []byte {
	v := reflect.ValueOf(m)
	if m == nil || v.IsNil() {
		return append(dst, "{}"...)
	}
	return appendMessage(dst, v)
}

// appendValue appends one value of a field, a list element or a map value.
type appendValue func(dst []byte, v reflect.Value) []byte

// jsonField is one field of a message: how to find and how to write it.
type jsonField struct {
	key    string // with quotes and colon
	index  int    // in the Go struct
	append appendValue
	always bool // also where it is zero
}

// jsonPlan is how to write one type of message.
type jsonPlan struct{ fields []jsonField }

// jsonPlans caches plans by the Go type they were made from: a pure function's
// results, at most one per message type of the schema.
var jsonPlans sync.Map // reflect.Type -> *jsonPlan

func planOf(t reflect.Type) *jsonPlan {
	if p, ok := jsonPlans.Load(t); ok {
		return p.(*jsonPlan)
	}
	p := &jsonPlan{}
	for i := range t.NumField() {
		f := t.Field(i)
		if _, oneof := f.Tag.Lookup("protobuf_oneof"); oneof {
			p.fields = append(p.fields, jsonField{"", i, appendOneof, false})
		} else if name := protoName(f); name != "" {
			p.fields = append(p.fields, jsonField{jsonKey(name), i, appenderOf(f.Type), zeroMeans(t, name)})
		}
	}
	jsonPlans.Store(t, p)
	return p
}

// zeroMeans tells the fields that are written also where they are 0, because 0 says
// something: root, and a process that ended well.
func zeroMeans(t reflect.Type, name string) bool {
	switch t {
	case reflect.TypeFor[skepv1.Credentials]():
		return true
	case reflect.TypeFor[skepv1.Process]():
		return name == "uid"
	case reflect.TypeFor[skepv1.Exit]():
		return name == "code"
	}
	return false
}

// appendMessage appends the message that v points to.
func appendMessage(dst []byte, v reflect.Value) []byte {
	dst = append(dst, '{')
	v = v.Elem()
	start := len(dst)
	for _, f := range planOf(v.Type()).fields {
		value := v.Field(f.index)
		if !f.always && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, f.key...)
		dst = f.append(dst, value)
	}
	return append(dst, '}')
}

// appendOneof appends key and value of the member that is set: an interface
// that holds a pointer to a struct of one field. That one is written even where
// it is zero, for then it is what the oneof says.
func appendOneof(dst []byte, v reflect.Value) []byte {
	member := v.Elem().Elem()
	f := planOf(member.Type()).fields[0]
	return f.append(append(dst, f.key...), member.Field(f.index))
}

// appenderOf is how a Go type of generated code is written.
func appenderOf(t reflect.Type) appendValue {
	if t.Implements(reflect.TypeFor[protoreflect.Enum]()) {
		return appendEnum
	}
	switch t.Kind() {
	case reflect.Bool:
		return appendBool
	case reflect.Int32, reflect.Int64:
		return appendInt
	case reflect.Uint32, reflect.Uint64:
		return appendUint
	case reflect.Float32, reflect.Float64:
		return appendFloat
	case reflect.String:
		return func(dst []byte, v reflect.Value) []byte { return appendString(dst, v.String()) }
	case reflect.Map:
		if t == reflect.TypeFor[map[string]string]() {
			return appendLabels
		}
		return mapAppender(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return appendBytes
		}
		return listAppender(t)
	case reflect.Pointer:
		return pointerAppender(t)
	}
	panic("event: no JSON for the Go type " + t.String()) // not in generated code
}

func listAppender(t reflect.Type) appendValue {
	element := appenderOf(t.Elem())
	return func(dst []byte, v reflect.Value) []byte {
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = element(dst, v.Index(i))
		}
		return append(dst, ']')
	}
}

// mapAppender sorts by the keys as they are written, so that one content is
// always one text. All keys of JSON are strings.
func mapAppender(t reflect.Type) appendValue {
	key, element := appenderOf(t.Key()), appenderOf(t.Elem())
	return func(dst []byte, v reflect.Value) []byte {
		entries := make(map[string]reflect.Value, v.Len())
		for it := v.MapRange(); it.Next(); {
			k := string(key(nil, it.Key()))
			if k[0] != '"' {
				k = `"` + k + `"`
			}
			entries[k] = it.Value()
		}
		dst = append(dst, '{')
		for i, k := range slices.Sorted(maps.Keys(entries)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(dst, k...), ':')
			dst = element(dst, entries[k])
		}
		return append(dst, '}')
	}
}

// appendLabels is mapAppender for the one map that records have.
func appendLabels(dst []byte, v reflect.Value) []byte {
	labels := v.Interface().(map[string]string)
	var room [16]string
	keys := slices.AppendSeq(room[:0], maps.Keys(labels))
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		dst = appendString(dst, labels[k])
	}
	return append(dst, '}')
}
