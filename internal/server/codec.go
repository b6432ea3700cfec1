// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"

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
