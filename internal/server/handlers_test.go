// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/event"
)

// The same socket must serve gRPC tools, a browser's proxy and curl.
func TestProtocols(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	a.fill(event.Exec, 0, 3)
	for name, option := range map[string]connect.ClientOption{"grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(), "json": connect.WithProtoJSON()} {
		c := skepv1connect.NewAgentServiceClient(httpClient(a.socket, false), "http://skep", option)
		if st, err := c.GetStatus(t.Context(), &skepv1.GetStatusRequest{}); err != nil || st.GetVersion() != "test" {
			t.Errorf("%s: %v, %v", name, st, err)
		}
		s, err := c.Observe(t.Context(), &skepv1.ObserveRequest{Last: 3})
		if err != nil || !s.Receive() || len(s.Msg().GetRecords()) != 3 {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
	res, err := httpClient(a.socket, true).Post("http://skep/skep.v1.AgentService/GetDoctor", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != `{"ok":true}` {
		t.Errorf("curl would see %s", body)
	}
	a.status = func() *skepv1.GetStatusResponse { return &skepv1.GetStatusResponse{NodeId: "node-1"} }
	for _, kind := range []string{"application/json", "application/json; charset=utf-8"} {
		res, err = httpClient(a.socket, true).Post("http://skep/skep.v1.AgentService/GetStatus", kind, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); !strings.Contains(string(body), `"node_id":`) || strings.Contains(string(body), "nodeId") {
			t.Errorf("%s: curl would not see the names of the records: %s", kind, body)
		}
	}
}

// A handler that is reached by any other way than Listen knows no peer.
func TestNoPeerNoAnswer(t *testing.T) {
	a := newAgent(t)
	front := httptest.NewServer(a.Handler())
	defer front.Close()
	for _, path := range []string{"GetStatus", "CreateToken", "GetIdentity"} {
		res, err := http.Post(front.URL+"/skep.v1.AgentService/"+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// A request above the limit is refused, and the agent lives on.
func TestHugeRequest(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	huge := &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Where: strings.Repeat("x", maxRequestBytes)}}
	if _, err := client(a.socket).ListProcesses(t.Context(), huge); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("%.200v", err)
	}
}
