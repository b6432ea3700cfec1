// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// codec is Connect's codec of binary protobuf, without reflection when it marshals: a
// stream at full speed is most of what the agent marshals. Unlike proto.Marshal it lets
// strings that are not UTF-8 pass; the decoders make none, which their fuzzing asserts.
type codec struct{}

// message is what protoc-gen-go-vtproto adds to each message of the API.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

func (codec) Name() string { return "proto" }

func (c codec) Marshal(m any) ([]byte, error) { return c.MarshalAppend(nil, m) }

// MarshalAppend lets Connect use its buffers again.
func (codec) MarshalAppend(dst []byte, m any) ([]byte, error) {
	switch m := m.(type) {
	case message:
		size := m.SizeVT()
		dst = slices.Grow(dst, size)
		end := len(dst) + size
		_, err := m.MarshalToSizedBufferVT(dst[len(dst):end])
		return dst[:end], err
	case proto.Message: // gRPC's own status
		return proto.MarshalOptions{}.MarshalAppend(dst, m)
	}
	return nil, fmt.Errorf("marshal %T: not a protobuf message", m)
}

func (codec) Unmarshal(b []byte, m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a protobuf message", m)
	}
	return proto.Unmarshal(b, msg)
}

// jsonCodec is Connect's codec of JSON, by its name as a content type has it, with the field
// names of the records: node_id and not nodeId. It reads both.
type jsonCodec string

func (c jsonCodec) Name() string { return string(c) }

func (jsonCodec) Marshal(m any) ([]byte, error) {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a protobuf message", m)
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
}

func (jsonCodec) Unmarshal(b []byte, m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a protobuf message", m)
	}
	// What a newer client says beside is ignored, as in binary.
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, msg)
}
