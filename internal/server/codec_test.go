// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/filled"
)

// TestCodec: what the codec writes is what the protobuf library reads, for every field of
// every answer, behind what is there already.
func TestCodec(t *testing.T) {
	bodies := (&skepv1.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Len()
	services := skepv1.File_skep_v1_agent_proto.Services()
	for turn := range bodies {
		var messages []proto.Message
		for i := range services.Len() {
			for j := range services.Get(i).Methods().Len() {
				typ, err := protoregistry.GlobalTypes.FindMessageByName(services.Get(i).Methods().Get(j).Output().FullName())
				if err != nil {
					t.Fatal(err)
				}
				messages = append(messages, typ.New().Interface())
			}
		}
		for _, m := range append(messages, &status.Status{}) {
			filled.Message(m.ProtoReflect(), turn, 6)
			b, err := codec{}.MarshalAppend([]byte("before"), m)
			if err != nil || string(b[:6]) != "before" {
				t.Fatalf("%T: %v", m, err)
			}
			got := m.ProtoReflect().New().Interface()
			if err := (codec{}).Unmarshal(b[6:], got); err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			if !proto.Equal(got, m) {
				t.Errorf("%T: %v became %v", m, m, got)
			}
		}
	}
	if _, err := (codec{}).Marshal("text"); err == nil {
		t.Error("what is no message was marshalled")
	}
}
