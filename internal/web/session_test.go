// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLogin(t *testing.T) {
	f := newFixture(t, nil)
	res, body := f.request(t, "GET", "/?token="+goodToken, "", noCookie)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" || strings.Contains(body, goodToken) {
		t.Fatalf("got %d to %q: %s", res.StatusCode, res.Header.Get("Location"), body)
	}
	if len(res.Cookies()) != 1 {
		t.Fatalf("cookies: %v", res.Cookies())
	}
	c := res.Cookies()[0]
	if c.Name != f.cookieName() || c.Value != goodToken || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie: %v", c)
	}
	if c.MaxAge < 3500 || c.MaxAge > 3600 {
		t.Errorf("the cookie lives %d s, the token an hour", c.MaxAge)
	}
	if res, _ := f.request(t, "GET", "/", "", func(r *http.Request) { noCookie(r); r.AddCookie(c) }); res.StatusCode != 200 {
		t.Errorf("with the cookie: %d", res.StatusCode)
	}
}

func TestLoginRefused(t *testing.T) {
	for _, c := range []struct {
		name, query string
		change      func(*fakeAgent)
	}{
		{"unknown token", "token=wrong", nil},
		{"empty token", "token=", nil},
		{"header in token", "token=a%0d%0aX-Evil:+1", nil},
		{"huge token", "token=" + strings.Repeat("a", 2000), nil},
		{"expired", "token=" + goodToken, func(a *fakeAgent) { a.expires = time.Now().Add(-time.Second) }},
		{"the agent looked at the socket, not the token", "token=" + goodToken, func(a *fakeAgent) { a.byPeer = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, nil)
			if c.change != nil {
				c.change(f.agent)
			}
			res, body := f.request(t, "GET", "/?"+c.query, "", noCookie)
			if res.StatusCode != 401 || len(res.Cookies()) != 0 || !strings.Contains(body, "skep token") {
				t.Errorf("got %d, cookies %v: %s", res.StatusCode, res.Cookies(), body)
			}
		})
	}
	f := newFixture(t, nil)
	if res, _ := f.request(t, "POST", "/?token="+goodToken, "", noCookie); res.StatusCode != 405 || len(res.Cookies()) != 0 {
		t.Errorf("login by POST: %d", res.StatusCode)
	}
}

// TestRevokedToken: the agent decides each call, whatever this server remembers.
func TestRevokedToken(t *testing.T) {
	f := newFixture(t, nil)
	f.request(t, "GET", "/", "", nil)
	f.agent.set(func() { f.agent.revoked = true })
	if res, body := f.request(t, "POST", statusCall, "{}", nil); res.StatusCode != 401 || !strings.Contains(body, `"unauthenticated"`) {
		t.Errorf("call: %d %s", res.StatusCode, body)
	}
}

func TestTokenIsNotLogged(t *testing.T) {
	f := newFixture(t, nil)
	f.request(t, "GET", "/?token="+goodToken, "", noCookie)
	f.request(t, "GET", "/?token=secret-but-wrong", "", noCookie)
	f.request(t, "POST", statusCall, "{}", nil)
	f.stopAgent()
	f.request(t, "POST", statusCall, "{}", nil)
	f.request(t, "GET", "/?token=secret-but-late", "", noCookie)
	log := f.log.String()
	if !strings.Contains(log, "page login") {
		t.Fatalf("nothing logged: the test proves nothing: %s", log)
	}
	for _, secret := range []string{goodToken, "secret-but"} {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log: %s", secret, log)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := &sessions{known: map[[32]byte]session{}}
	for i := range 3 * maxSessions {
		s.put([32]byte{byte(i), byte(i >> 8)}, session{})
	}
	if len(s.known) > maxSessions {
		t.Errorf("%d sessions remembered", len(s.known))
	}
}
