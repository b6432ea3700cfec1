// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"strings"
)

// policy forbids everything that the built page does not need: no inline
// script or style, no other origin, no framing, no forms.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// secure adds the headers that every answer carries, refusals included.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// guard refuses requests that a foreign page or a rebound DNS name makes.
type guard struct {
	port  string
	hosts map[string]bool
	// anyIP: a Host that is an IP literal cannot come from DNS rebinding, so a
	// server meant for remote users accepts each of its addresses.
	anyIP bool
}

func newGuard(o Options, addr net.Addr) *guard {
	_, port, _ := net.SplitHostPort(addr.String())
	g := &guard{port: port, anyIP: o.AllowRemote, hosts: map[string]bool{
		strings.ToLower(addr.String()):      true,
		net.JoinHostPort("localhost", port): true,
		net.JoinHostPort("127.0.0.1", port): true,
		net.JoinHostPort("::1", port):       true,
	}}
	for _, h := range o.Hosts {
		h = strings.ToLower(h)
		g.hosts[h] = true
		if _, _, err := net.SplitHostPort(h); err != nil {
			g.hosts[net.JoinHostPort(strings.Trim(h, "[]"), port)] = true
		}
	}
	return g
}

func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.ownHost(r.Host):
			http.Error(w, "this server does not answer to that host name; use the address that skep serve printed", http.StatusMisdirectedRequest)
		case !ownOrigin(r):
			http.Error(w, "request from another origin refused", http.StatusForbidden)
		case !ownFetch(r):
			http.Error(w, "request from another site refused", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (g *guard) ownHost(host string) bool {
	host = strings.ToLower(host)
	if g.hosts[host] {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	return g.anyIP && err == nil && port == g.port && net.ParseIP(name) != nil
}

// ownOrigin reports whether every Origin given is the one the request is sent
// to. Browsers send one with each POST.
func ownOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		scheme, host, found := strings.Cut(origin, "://")
		if !found || scheme != "http" && scheme != "https" || !strings.EqualFold(host, r.Host) {
			return false
		}
	}
	return true
}

// ownFetch lets a user follow a link from anywhere to a page, and nothing
// else. Another port of this host is "same-site" and gets our cookie, so that
// is refused as well.
func ownFetch(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
}
