// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// request sends one request as a browser with a session would, changed by change.
func (f *fixture) request(t *testing.T, method, path, body string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+f.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: f.cookieName(), Value: goodToken})
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(req)
	}
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(got)
}

const statusCall = servicePath + "GetStatus"

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func noCookie(r *http.Request) { r.Header.Del("Cookie") }

func fetch(site, mode, dest string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Sec-Fetch-Mode", mode)
		r.Header.Set("Sec-Fetch-Dest", dest)
	}
}

// TestWhoMayPass has every rule about requests once as it must pass and once
// as it must be refused.
func TestWhoMayPass(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Hosts = []string{"skep.example", "tunnel.example:8000"} })
	_, port, _ := net.SplitHostPort(f.addr)
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"page", "GET", "/", nil, 200},
		{"page without session", "GET", "/", noCookie, 401},
		{"page with another token", "GET", "/", header("Cookie", f.cookieName()+"=wrong"), 401},
		{"page with the cookie of another port", "GET", "/", header("Cookie", "skep_1="+goodToken), 401},
		{"no such file", "GET", "/nothing", nil, 404},
		{"no listing", "GET", "/assets/", nil, 404},
		{"no way up", "GET", "/..%2fembed.go", nil, 404},
		{"files are read only", "PUT", "/", nil, 405},
		{"call", "POST", statusCall, nil, 200},
		{"call without session", "POST", statusCall, noCookie, 401},
		{"call without session but its own bearer", "POST", statusCall, func(r *http.Request) {
			noCookie(r)
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}, 401},
		{"call by GET", "GET", statusCall + "?message={}&encoding=json", nil, 405},
		{"call as a form", "POST", statusCall, header("Content-Type", "application/x-www-form-urlencoded"), 415},
		{"call as plain text", "POST", statusCall, header("Content-Type", "text/plain"), 415},
		{"call as gRPC", "POST", statusCall, header("Content-Type", "application/grpc"), 415},
		{"call with a charset", "POST", statusCall, header("Content-Type", "application/json; charset=utf-8"), 200},
		{"forbidden call", "POST", servicePath + "CreateToken", nil, 403},
		{"unknown call", "POST", servicePath + "Future", nil, 403},
		{"Host localhost", "GET", "/", host("localhost:" + port), 200},
		{"Host [::1]", "GET", "/", host("[::1]:" + port), 200},
		{"Host configured, our port", "GET", "/", host("SKEP.example:" + port), 200},
		{"Host configured, no port", "GET", "/", host("skep.example"), 200},
		{"Host configured with port", "GET", "/", host("tunnel.example:8000"), 200},
		{"Host configured with another port", "GET", "/", host("tunnel.example:" + port), 421},
		{"Host foreign", "GET", "/", host("evil.example:" + port), 421},
		{"Host foreign for a call", "POST", statusCall, host("evil.example:" + port), 421},
		{"Host with another port", "GET", "/", host("127.0.0.1:1"), 421},
		{"Host without port", "GET", "/", host("localhost"), 421},
		{"Host another address", "GET", "/", host("192.0.2.1:" + port), 421},
		{"Origin own", "POST", statusCall, header("Origin", "http://"+f.addr), 200},
		{"Origin foreign", "POST", statusCall, header("Origin", "http://evil.example"), 403},
		{"Origin another port", "POST", statusCall, header("Origin", "http://127.0.0.1:1"), 403},
		{"Origin null", "POST", statusCall, header("Origin", "null"), 403},
		{"Origin foreign for the page", "GET", "/", header("Origin", "http://evil.example"), 403},
		{"fetch own", "POST", statusCall, fetch("same-origin", "cors", "empty"), 200},
		{"typed address", "GET", "/", fetch("none", "navigate", "document"), 200},
		{"link from elsewhere", "GET", "/", fetch("cross-site", "navigate", "document"), 200},
		{"frame elsewhere", "GET", "/", fetch("cross-site", "navigate", "iframe"), 403},
		{"image elsewhere", "GET", "/", fetch("cross-site", "no-cors", "image"), 403},
		{"fetch elsewhere", "POST", statusCall, fetch("cross-site", "cors", "empty"), 403},
		{"fetch from another port", "POST", statusCall, fetch("same-site", "cors", "empty"), 403},
		{"form elsewhere", "POST", statusCall, fetch("cross-site", "navigate", "document"), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.agent.reset()
			res, body := f.request(t, c.method, c.path, "{}", c.change)
			if res.StatusCode != c.want {
				t.Fatalf("got %d, want %d: %s", res.StatusCode, c.want, body)
			}
			if c.want != 200 && strings.Contains(strings.Join(f.agent.paths, " "), "GetStatus") {
				t.Errorf("a refused call reached the agent")
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
				if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	f := newFixture(t, nil)
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	for _, call := range [][2]string{{"GET", "/"}, {"GET", "/nothing"}, {"POST", statusCall}} {
		res, _ := f.request(t, call[0], call[1], "{}", nil)
		if got := res.Header.Values("Content-Security-Policy"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q", call[1], got)
		}
	}
	res, body := f.request(t, "GET", "/", "", noCookie)
	if got := res.Header.Get("Content-Security-Policy"); strings.Contains(got, "unsafe") || !strings.Contains(got, "style-src 'sha256-") {
		t.Errorf("refusal: got %q", got)
	}
	if !strings.Contains(body, "skep token") || !strings.Contains(body, "make run") {
		t.Errorf("the refusal does not say what to do: %s", body)
	}
}

func TestAssetsAreKept(t *testing.T) {
	f := newFixture(t, nil)
	_, index := f.request(t, "GET", "/", "", nil)
	_, rest, found := strings.Cut(index, `src="./assets/`)
	if !found {
		t.Fatalf("no script with a relative address in %s", index)
	}
	name, _, _ := strings.Cut(rest, `"`)
	res, body := f.request(t, "GET", "/assets/"+name, "", nil)
	if res.StatusCode != 200 || len(body) < 10000 {
		t.Fatalf("script: status %d, %d bytes", res.StatusCode, len(body))
	}
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control: %q", got)
	}
	if res, _ := f.request(t, "GET", "/assets/"+name, "", noCookie); res.StatusCode != 401 {
		t.Errorf("script without session: %d", res.StatusCode)
	}
}

func TestBodyIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.agent.reset()
	res, _ := f.request(t, "POST", statusCall, strings.Repeat(" ", maxBody+1), nil)
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", res.StatusCode)
	}
	res, _ = f.request(t, "GET", "/", "", header("X-Big", strings.Repeat("x", 2*maxHeader)))
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("big header: got %d", res.StatusCode)
	}
}

func TestAgentDown(t *testing.T) {
	f := newFixture(t, nil)
	if res, _ := f.request(t, "GET", "/", "", nil); res.StatusCode != 200 {
		t.Fatalf("before: %d", res.StatusCode)
	}
	f.stopAgent()
	res, body := f.request(t, "POST", statusCall, "{}", nil)
	var got struct{ Code, Message string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 502 || got.Code != "unavailable" || !strings.Contains(got.Message, "agent not reachable") {
		t.Errorf("call: %d %q %v", res.StatusCode, body, err)
	}
	// The page still loads for who was known, to show that the agent is away.
	if res, _ := f.request(t, "GET", "/", "", nil); res.StatusCode != 200 {
		t.Errorf("page: %d", res.StatusCode)
	}
	if res, body := f.request(t, "GET", "/?token=other", "", noCookie); res.StatusCode != 502 || !strings.Contains(body, "cannot be reached") {
		t.Errorf("login: %d", res.StatusCode)
	}
}

func TestListenIsLoopback(t *testing.T) {
	for listen, want := range map[string]string{"0.0.0.0:0": "not a loopback address", ":0": "not a loopback address", "[::]:0": "not a loopback address",
		"192.0.2.7:0": "not a loopback address", "example.com:0": "not a loopback address", "nonsense": "missing port"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a server that does listen ends then, without an error
		err := Serve(ctx, Options{Listen: listen, Logger: slog.New(slog.DiscardHandler)})
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", listen, err, want)
		}
	}
	f := newFixture(t, func(o *Options) { o.Listen, o.AllowRemote = "0.0.0.0:0", true })
	_, port, _ := net.SplitHostPort(f.addr)
	for host, want := range map[string]int{"192.0.2.1:" + port: 200, "evil.example:" + port: 421, "192.0.2.1:1": 421} {
		if res, _ := f.request(t, "GET", "/", "", func(r *http.Request) { r.Host = host }); res.StatusCode != want {
			t.Errorf("Host %s: got %d, want %d", host, res.StatusCode, want)
		}
	}
}

func TestStops(t *testing.T) {
	f := newFixture(t, nil)
	s := f.openStream(t)
	defer s.Close()
	f.stop()
	select {
	case err := <-f.done:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(2 * time.Second):
		t.Error("an open stream keeps the server from stopping")
	}
}
