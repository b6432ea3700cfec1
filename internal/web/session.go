// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// sessions remembers which tokens the agent accepted. The cookie is the token;
// here only its hash is kept, and the agent checks it again on every call.
type sessions struct {
	agent  *agent
	cookie string
	mu     sync.Mutex
	known  map[[sha256.Size]byte]session
}

type session struct {
	expires, checked time.Time
}

// refuse answers a request whose session is missing or could not be checked.
type refuse func(w http.ResponseWriter, r *http.Request, err error)

var errNoSession = errors.New("this browser has no session, or its token has expired")

func newSessions(a *agent, addr net.Addr) *sessions {
	_, port, _ := net.SplitHostPort(addr.String())
	// Cookies ignore the port: two servers on one host must not share a name.
	return &sessions{agent: a, cookie: "skep_" + port, known: map[[sha256.Size]byte]session{}}
}

// login turns /?token=T into a cookie, so that the token leaves the address
// bar, the history and the Referer.
func (s *sessions) login(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" || !r.URL.Query().Has("token") {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet {
			http.Error(w, "the login link takes GET only", http.StatusMethodNotAllowed)
			return
		}
		token := r.URL.Query().Get("token")
		got, err := s.check(r.Context(), token)
		if err != nil {
			log.Warn("page login refused", "remote", r.RemoteAddr, "code", connect.CodeOf(err).String())
			refusePage(w, r, err)
			return
		}
		log.Info("page login", "remote", r.RemoteAddr, "expires", got.expires)
		http.SetCookie(w, &http.Cookie{Name: s.cookie, Value: token, Path: "/", HttpOnly: true,
			Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
			MaxAge: max(1, int(time.Until(got.expires).Seconds()))})
		// Not http.Redirect: its HTML body would only be noise under our CSP.
		w.Header().Set("Location", "/")
		w.WriteHeader(http.StatusSeeOther)
	})
}

type tokenKey struct{}

// require passes requests with a valid session on, with the token in their context.
func (s *sessions) require(next http.Handler, no refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(s.cookie)
		if err != nil {
			no(w, r, connect.NewError(connect.CodeUnauthenticated, errNoSession))
			return
		}
		if _, err := s.check(r.Context(), c.Value); err != nil {
			no(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, c.Value)))
	})
}

// check asks the agent about a token, at most once per recheckPeriod. A token
// that was good stays good while the agent is away, so that the page can load
// and say so.
func (s *sessions) check(ctx context.Context, token string) (session, error) {
	if !plausible(token) {
		return session{}, connect.NewError(connect.CodeUnauthenticated, errors.New("malformed token"))
	}
	key, now := sha256.Sum256([]byte(token)), time.Now()
	old, known := s.get(key)
	if known && now.Before(old.expires) && now.Sub(old.checked) < recheckPeriod {
		return old, nil
	}
	expires, err := s.agent.verify(ctx, token)
	switch {
	case err == nil:
		got := session{expires: expires, checked: now}
		s.put(key, got)
		return got, nil
	case known && now.Before(old.expires) && connect.CodeOf(err) == connect.CodeUnavailable:
		return old, nil
	}
	s.drop(key)
	return session{}, err
}

// plausible keeps what cannot be a token out of headers; the agent decides the rest.
func plausible(token string) bool {
	if token == "" || len(token) > 1024 {
		return false
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\' {
			return false
		}
	}
	return true
}

func (s *sessions) get(key [sha256.Size]byte) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.known[key]
	return got, ok
}

func (s *sessions) put(key [sha256.Size]byte, got session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSessions {
		clear(s.known) // Only a cache: the agent is asked again.
	}
	s.known[key] = got
}

func (s *sessions) drop(key [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, key)
}
