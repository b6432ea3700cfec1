// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"connectrpc.com/connect"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

const servicePath = "/" + skepv1connect.AgentServiceName + "/"

// allowed are the calls that the page makes, all of role view but those that run a tool,
// for which the page's token must have the tool's role. CreateToken is not among them: a
// page must not be able to prolong its own access.
var allowed = map[string]bool{
	skepv1connect.AgentServiceGetStatusProcedure:       true,
	skepv1connect.AgentServiceGetDoctorProcedure:       true,
	skepv1connect.AgentServiceObserveProcedure:         true,
	skepv1connect.AgentServiceCountRecordsProcedure:    true,
	skepv1connect.AgentServiceListProcessesProcedure:   true,
	skepv1connect.AgentServiceGetProcessProcedure:      true,
	skepv1connect.AgentServiceListConnectionsProcedure: true,
	skepv1connect.AgentServiceGetIdentityProcedure:     true,
	skepv1connect.AgentServiceListToolsProcedure:       true,
	skepv1connect.AgentServiceTraceProcedure:           true,
	skepv1connect.AgentServiceEndTraceProcedure:        true,
}

// streaming are those of them whose answers may take for ever.
var streaming = map[string]bool{skepv1connect.AgentServiceObserveProcedure: true, skepv1connect.AgentServiceTraceProcedure: true}

// Content types of the Connect protocol. A form or a "simple" cross-origin
// request cannot have one.
var contentTypes = map[string]bool{
	"application/proto": true, "application/json": true,
	"application/connect+proto": true, "application/connect+json": true,
}

// Of the browser's headers the agent sees these only.
var forwarded = []string{"Content-Type", "Content-Encoding", "Accept-Encoding", "User-Agent",
	"Connect-Protocol-Version", "Connect-Timeout-Ms", "Connect-Content-Encoding", "Connect-Accept-Encoding"}

// Of the agent's headers the browser sees these only.
var returned = []string{"Content-Type", "Content-Encoding", "Content-Length", "Connect-Content-Encoding"}

type proxy struct {
	streams chan struct{}
	to      *httputil.ReverseProxy
}

func newProxy(a *agent, log *slog.Logger) *proxy {
	target, _ := url.Parse(agentURL) // A constant.
	return &proxy{streams: make(chan struct{}, maxStreams), to: &httputil.ReverseProxy{
		Transport:     a.transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = target.Host
			p.Out.URL.RawQuery = ""
			p.Out.Header = keep(p.In.Header, forwarded)
			token, _ := p.In.Context().Value(tokenKey{}).(string)
			p.Out.Header.Set("Authorization", "Bearer "+token)
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header = keep(r.Header, returned)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Warn("call to the agent failed", "procedure", r.URL.Path, "error", err)
			}
			refuseCall(w, r, a.explain(err))
		},
	}}
}

func keep(from http.Header, names []string) http.Header {
	to := http.Header{}
	for _, name := range names {
		if v := from.Values(name); len(v) > 0 {
			to[name] = v
		}
	}
	return to
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case !allowed[r.URL.Path]:
		writeError(w, http.StatusForbidden, connect.CodePermissionDenied, "the page may not make this call")
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, connect.CodeUnimplemented, "calls to the agent are POST only")
	case !contentTypes[kind]:
		writeError(w, http.StatusUnsupportedMediaType, connect.CodeInvalidArgument, "not a content type of the Connect protocol")
	case !p.readBody(w, r):
	case streaming[r.URL.Path]:
		p.stream(w, r)
	default:
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		p.to.ServeHTTP(w, r)
	}
}

// readBody takes the whole (small) request within the server's read timeout,
// and then lifts it: a stream's answer may take for ever.
func (p *proxy) readBody(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, connect.CodeInvalidArgument, "request body too large or too slow")
		return false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return true
}

func (p *proxy) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
		p.to.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusTooManyRequests, connect.CodeResourceExhausted, "too many pages follow this agent or run tools; close some")
	}
}

// refuseCall answers a call that did not reach the agent in the shape of a
// Connect error, which is how the page learns what to show.
func refuseCall(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusBadGateway
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		status = http.StatusUnauthorized
	}
	writeError(w, status, connect.CodeOf(err), message(err))
}

func writeError(w http.ResponseWriter, status int, code connect.Code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code.String(), "message": text})
}

func message(err error) string {
	var ce *connect.Error
	if errors.As(err, &ce) {
		return ce.Message()
	}
	return err.Error()
}
