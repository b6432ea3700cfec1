// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// newStatic serves the built page. Names in assets/ hold a hash of the
// content, so a browser may keep those; everything else is asked for anew.
func newStatic(files fs.FS) http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "files are read only", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		// FileServer would list directories.
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		if strings.HasPrefix(name, "assets/") {
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		}
		serve.ServeHTTP(w, r)
	})
}

const refusalStyle = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:15vh auto 0;` +
	`max-width:34rem;padding:0 1.5rem}h1{font-size:1.25rem}code{font:13px ui-monospace,monospace;padding:.15em .4em;` +
	`border-radius:4px;white-space:nowrap;background:color-mix(in srgb,currentColor 10%,transparent)}p.why{opacity:.75}`

const refusalPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>skep: %[2]s</title>` +
	`<meta name="viewport" content="width=device-width"><style>%[1]s</style>` +
	`<main><h1>%[2]s</h1><p>%[3]s</p><p class="why">%[4]s</p><p><a href="/">Try again</a></p></main>`

// refusePage answers a browser that has no session with what to do about it.
func refusePage(w http.ResponseWriter, r *http.Request, err error) {
	status, title := http.StatusBadGateway, "The agent cannot be reached"
	help := "Is it running? Look at <code>systemctl status skepd</code>, or start it with <code>make run</code>."
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		status, title = http.StatusUnauthorized, "This page needs a token"
		help = "Run <code>skep token --url</code> and open the link it prints, or use the link that <code>make run</code> printed."
	}
	// The one inline style of this server, allowed by its hash and only here.
	sum := sha256.Sum256([]byte(refusalStyle))
	hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	w.Header().Set("Content-Security-Policy", strings.Replace(policy, "style-src 'self'", "style-src "+hash, 1))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, refusalPage, refusalStyle, title, help, html.EscapeString(message(err)))
	}
}
