// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// protoName is the name in the schema of a field of a generated struct, or ""
// for those that hold its state.
func protoName(f reflect.StructField) string {
	for part := range strings.SplitSeq(f.Tag.Get("protobuf"), ",") {
		if name, ok := strings.CutPrefix(part, "name="); ok {
			return name
		}
	}
	return ""
}

func jsonKey(name string) string { return string(appendString(nil, name)) + ":" }

// pointerAppender is for messages, and for optional scalars.
func pointerAppender(t reflect.Type) appendValue {
	switch {
	case t == reflect.TypeFor[*timestamppb.Timestamp]():
		return func(dst []byte, v reflect.Value) []byte {
			return appendTime(dst, v.Interface().(*timestamppb.Timestamp))
		}
	case t == reflect.TypeFor[*durationpb.Duration]():
		return func(dst []byte, v reflect.Value) []byte {
			return appendDuration(dst, v.Interface().(*durationpb.Duration))
		}
	case t.Elem().Kind() == reflect.Struct:
		return func(dst []byte, v reflect.Value) []byte {
			if v.IsNil() { // in a list, or as the member of a oneof
				return append(dst, "{}"...)
			}
			return appendMessage(dst, v)
		}
	}
	scalar := appenderOf(t.Elem())
	return func(dst []byte, v reflect.Value) []byte { return scalar(dst, v.Elem()) }
}

func appendBool(dst []byte, v reflect.Value) []byte { return strconv.AppendBool(dst, v.Bool()) }

func appendInt(dst []byte, v reflect.Value) []byte { return strconv.AppendInt(dst, v.Int(), 10) }

func appendUint(dst []byte, v reflect.Value) []byte { return strconv.AppendUint(dst, v.Uint(), 10) }

// appendFloat writes what JSON numbers cannot hold as protojson does.
func appendFloat(dst []byte, v reflect.Value) []byte {
	f := v.Float()
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, v.Type().Bits())
}

func appendBytes(dst []byte, v reflect.Value) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
	return append(dst, '"')
}

// appendEnum writes ROLE_VIEW of enum Role as "view", and a number that has no
// name as that number.
func appendEnum(dst []byte, v reflect.Value) []byte {
	e := v.Interface().(protoreflect.Enum)
	d := e.Descriptor()
	value := d.Values().ByNumber(e.Number())
	if value == nil {
		return strconv.AppendInt(dst, int64(e.Number()), 10)
	}
	name := strings.ToLower(string(value.Name()))
	return appendString(dst, strings.TrimPrefix(name, snake(string(d.Name()))+"_"))
}

// snake turns RungState into rung_state.
func snake(camel string) string {
	var b strings.Builder
	for i, r := range camel {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// appendTime writes a time in UTC with nine digits, so that text order is time
// order. What RFC 3339 cannot hold (before year 1, after 9999) is written as null.
func appendTime(dst []byte, t *timestamppb.Timestamp) []byte {
	if !t.IsValid() {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = t.AsTime().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	return append(dst, '"')
}

// appendDuration writes seconds with as many digits as it takes: "1.5s".
func appendDuration(dst []byte, d *durationpb.Duration) []byte {
	if !d.IsValid() {
		return append(dst, "null"...)
	}
	seconds, nanos := d.GetSeconds(), d.GetNanos()
	dst = append(dst, '"')
	if seconds < 0 || nanos < 0 {
		dst = append(dst, '-')
		seconds, nanos = -seconds, -nanos
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	if nanos != 0 {
		digits := strconv.Itoa(int(time.Second) + int(nanos))[1:]
		dst = append(append(dst, '.'), strings.TrimRight(digits, "0")...)
	}
	return append(dst, `s"`...)
}
