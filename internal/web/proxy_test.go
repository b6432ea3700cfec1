// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/binary"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestWhatTheAgentSees: the session's token, over HTTP/2, and none of the
// headers that the browser has for this server or that a caller made up.
func TestWhatTheAgentSees(t *testing.T) {
	f := newFixture(t, nil)
	f.request(t, "GET", "/", "", nil)
	f.agent.reset()
	res, body := f.request(t, "POST", statusCall+"?x=1", "{}", func(r *http.Request) {
		for name, value := range map[string]string{"Authorization": "Bearer forged", "X-Forwarded-For": "10.0.0.1", "X-Real-Ip": "10.0.0.1", "Forwarded": "for=10.0.0.1",
			"Connection": "X-Secret", "X-Secret": "1", "Te": "trailers", "Referer": "http://" + f.addr + "/?token=old", "Connect-Protocol-Version": "1"} {
			r.Header.Set(name, value)
		}
	})
	if res.StatusCode != 200 || !strings.Contains(body, "fake") {
		t.Fatalf("call: %d %s", res.StatusCode, body)
	}
	if res.Header.Get("Set-Cookie") != "" {
		t.Error("a header of the agent that is none of the browser's business passed")
	}
	f.agent.mu.Lock()
	defer f.agent.mu.Unlock()
	if len(f.agent.headers) != 1 || f.agent.paths[0] != statusCall || f.agent.protos[0] != 2 {
		t.Fatalf("got %d requests, %q, HTTP/%d", len(f.agent.headers), f.agent.paths, f.agent.protos)
	}
	got := f.agent.headers[0]
	if v := got.Values("Authorization"); len(v) != 1 || v[0] != "Bearer "+goodToken {
		t.Errorf("Authorization: %q", v)
	}
	for name := range maps.Keys(got) {
		if name != "Authorization" && name != "Content-Length" && !slices.Contains(forwarded, name) {
			t.Errorf("%s: %q reached the agent", name, got.Values(name))
		}
	}
}

// openStream opens a stream and has the agent send its first message, without
// which there is no answer yet.
func (f *fixture) openStream(t *testing.T) io.ReadCloser {
	t.Helper()
	go func() { f.agent.next <- struct{}{} }()
	req, err := http.NewRequest("POST", "http://"+f.addr+servicePath+"Observe", strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/connect+proto")
	req.AddCookie(&http.Cookie{Name: f.cookieName(), Value: goodToken})
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		t.Fatalf("stream: %d", res.StatusCode)
	}
	return res.Body
}

// TestStreamIsNotHeldBack: each message arrives while the next one does not exist yet.
func TestStreamIsNotHeldBack(t *testing.T) {
	f := newFixture(t, nil)
	s := f.openStream(t)
	defer s.Close()
	for i := range 3 {
		if i > 0 {
			f.agent.next <- struct{}{}
		}
		got := make(chan byte, 1)
		go func() { got <- readMessage(s) }()
		select {
		case n := <-got:
			if int(n) != i+1 {
				t.Fatalf("message %d: got %d", i+1, n)
			}
		case <-time.After(2 * time.Second):
			t.Fatalf("message %d is held back", i+1)
		}
	}
}

// readMessage returns sampled_out of the next message, which is below 128.
func readMessage(r io.Reader) byte {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(r, body); err != nil || len(body) == 0 {
		return 0
	}
	return body[len(body)-1]
}

// limited is a response that notes whether its writing may take only so long.
type limited struct {
	*httptest.ResponseRecorder
	deadline bool
}

func (l *limited) SetReadDeadline(time.Time) error  { return nil }
func (l *limited) SetWriteDeadline(time.Time) error { l.deadline = true; return nil }

// TestCallsThatTakeForEver: the answer of a stream, such as what a tool says, may take for
// ever, but there are only so many; any other is ended.
func TestCallsThatTakeForEver(t *testing.T) {
	p := newProxy(newAgent(filepath.Join(t.TempDir(), "none")), slog.New(slog.DiscardHandler))
	for range maxStreams {
		p.streams <- struct{}{}
	}
	for path := range allowed {
		method := skepv1.File_skep_v1_agent_proto.Services().ByName("AgentService").Methods().ByName(protoreflect.Name(strings.TrimPrefix(path, servicePath)))
		w := &limited{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Content-Type", "application/json")
		p.ServeHTTP(w, r)
		if streams := method.IsStreamingServer(); w.deadline == streams || (w.Code == http.StatusTooManyRequests) != streams {
			t.Errorf("%s streams: %v, is limited: %v, status with all streams taken %d", path, streams, w.deadline, w.Code)
		}
	}
}

// TestStreamOutlivesTimeouts: the limits on slow requests must not end a
// stream whose request is long read.
func TestStreamOutlivesTimeouts(t *testing.T) {
	if testing.Short() {
		t.Skip("waits longer than the read timeout: not with -short")
	}
	t.Parallel()
	f := newFixture(t, nil)
	s := f.openStream(t)
	defer s.Close()
	readMessage(s)
	time.Sleep(readTimeout + time.Second)
	select {
	case f.agent.next <- struct{}{}:
	case <-time.After(time.Second):
		t.Fatal("the agent's side of the stream has ended")
	}
	if n := readMessage(s); n != 2 {
		t.Fatalf("got %d after the read timeout", n)
	}
}
