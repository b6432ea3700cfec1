// SPDX-License-Identifier: Apache-2.0

// Package filled fills messages of the schema, for tests of what must know every field of
// every message, also those that are added later.
package filled

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Message sets every field of a message, and of those in it down to a depth; of a oneof,
// the one whose turn it is. Times and durations are valid.
func Message(m protoreflect.Message, turn, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() && one.Fields().Get(turn%one.Fields().Len()) != f {
			continue
		}
		if f.Message() != nil && depth == 0 {
			continue
		}
		field(m, f, turn, depth)
	}
}

func field(m protoreflect.Message, f protoreflect.FieldDescriptor, turn, depth int) {
	switch {
	case f.IsMap():
		entry := dynamicpb.NewMessage(f.Message())
		Message(entry, turn, 1)
		key, value := entry.Get(f.MapKey()), entry.Get(f.MapValue())
		if f.MapValue().Message() != nil {
			value = m.Mutable(f).Map().NewValue()
			Message(value.Message(), turn, depth-1)
		}
		m.Mutable(f).Map().Set(key.MapKey(), value)
	case f.IsList() && f.Message() != nil:
		Message(m.Mutable(f).List().AppendMutable().Message(), turn, depth-1)
	case f.IsList():
		m.Mutable(f).List().Append(Scalar(f, float64(f.Number())*1e6))
	case f.Message() != nil:
		Message(m.Mutable(f).Message(), turn, depth-1)
	case f.Name() == "nanos" && f.ParentFile().Package() == "google.protobuf":
		m.Set(f, protoreflect.ValueOfInt32(123_456_789))
	case f.Name() == "seconds" && f.ParentFile().Package() == "google.protobuf":
		m.Set(f, protoreflect.ValueOfInt64(1_000_000))
	default:
		m.Set(f, Scalar(f, float64(f.Number())*1e6))
	}
}

// Scalar is a value of a field that has no message: n, or -n where it has a sign, or a
// text or bytes made of it.
func Scalar(f protoreflect.FieldDescriptor, n float64) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprint("é", n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 0xff, byte(n)})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(-n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(int64(-n))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(n)
	}
	return protoreflect.ValueOfUint64(uint64(n))
}
