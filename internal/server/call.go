// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// What of a call is logged, in bytes: more of its request than that is left out, and an
// error is cut.
const (
	maxAuditRequest = 1024
	maxAuditTrace   = 8 << 10 // what audited leaves of a script is less
	maxAuditError   = 512
	maxAuditMethod  = 64
)

// caller is who makes a call, for one call.
type caller struct {
	uid  uint32
	user string
	role skepv1.Role
	// token is set where a token says all that, and not the peer itself.
	token *token
	peer  peer
	// member tells whether the peer itself has a role.
	member bool
}

func (c caller) auditUser() auditUser {
	return auditUser{UID: c.uid, User: c.user, Role: roleName(c.role), PeerUID: c.peer.uid}
}

// call is one request on its way into the log and the counts. The gate and the
// interceptor tell what they know of it; what neither of them saw to its end (a message
// that cannot be decoded, say) is told by its reply.
type call struct {
	server *Server
	caller caller
	begun  time.Time
	known  bool // the procedure exists
	// procedure as it was called, such as /skep.v1.AgentService/GetStatus
	procedure string
	line      auditLine
	told      bool // its outcome is in the log
	control   *http.ResponseController
}

type callKey struct{}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func callerFrom(ctx context.Context) caller {
	if c := callFrom(ctx); c != nil {
		return c.caller
	}
	return caller{}
}

// begin makes the call of a request, by the connection's peer as long as nothing else is known.
func (s *Server) begin(r *http.Request) *call {
	c := &call{server: s, begun: time.Now()}
	if p, ok := peerFrom(r.Context()); ok {
		role := s.roles.of(p)
		c.caller = caller{uid: p.uid, user: s.roles.name(p.uid), role: role, peer: p, member: role != skepv1.Role_ROLE_UNSPECIFIED}
	}
	c.procedure = r.URL.Path
	_, c.known = required[c.procedure]
	c.line.Method = path.Base(r.URL.Path)
	if !c.known {
		c.line.Method = cut(event.Printable(r.URL.Path), maxAuditMethod)
	}
	return c
}

// request notes what was asked for. No request of the API holds a secret.
func (c *call) request(message any) {
	m, ok := message.(proto.Message)
	if !ok {
		return
	}
	limit := maxAuditRequest
	switch t := m.(type) {
	case *skepv1.TraceRequest:
		m, limit = audited(t), maxAuditTrace
	case *skepv1.InstallTraceRequest:
		m, limit = &skepv1.InstallTraceRequest{Name: cut(t.GetName(), auditedName), Trace: audited(t.GetTrace())}, maxAuditTrace
	}
	c.line.Request = event.AppendJSON(nil, m)
	if n := len(c.line.Request); n > limit {
		c.line.Request, _ = json.Marshal(map[string]int{"too_long_bytes": n})
	}
}

// started logs that a stream has begun.
func (c *call) started() {
	c.write("start")
	c.line.Request = nil
}

// ended logs and counts the outcome, as the event of a line.
func (c *call) ended(as string, err error) {
	c.told = true
	c.line.Code = codeOf(err)
	c.line.Error = errorText(err)
	c.line.Duration = int64(time.Since(c.begun))
	c.write(as)
	c.server.calls.add(c.counted(), err)
}

// counted is the method as the metrics name it: not by what a caller made up.
func (c *call) counted() string {
	if c.known {
		return c.line.Method
	}
	return "unknown"
}

func (c *call) write(as string) {
	c.line.Event, c.line.auditUser, c.line.PID = as, c.caller.auditUser(), c.caller.peer.pid
	c.line.Address, c.line.Certificate = c.caller.peer.address, c.caller.peer.certificate
	if c.caller.token != nil {
		c.line.TokenID = c.caller.token.shortID()
	}
	c.server.audit.write(c)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return cut(event.Printable(err.Error()), maxAuditError)
}

// cut shortens a text to about n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// codeOf is the result of a call in one word.
func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}

// How much of a script is logged: of its text, its name, each argument and all of them
// together. JSON may make six bytes of one.
const (
	auditedScript = 512
	auditedName   = 128
	auditedArg    = 32
	auditedArgs   = 4
)

// audited is a request to run a script as it is logged: so much of it that it is told from
// others, with the sum of what is left out.
func audited(t *skepv1.TraceRequest) *skepv1.TraceRequest {
	if t == nil {
		return nil
	}
	t = proto.CloneOf(t)
	if n := len(t.GetScript()); n > auditedScript {
		t.Script = fmt.Sprintf("%s (%d bytes, sha256 %x)", cut(t.GetScript(), auditedScript), n, sha256.Sum256([]byte(t.GetScript())))
	}
	t.Name, t.Pattern, t.Container = cut(t.GetName(), auditedName), cut(t.GetPattern(), auditedName), cut(t.GetContainer(), auditedName)
	for i, arg := range t.GetArgs() {
		t.Args[i] = cut(arg, auditedArg)
	}
	if n := len(t.GetArgs()); n > auditedArgs {
		t.Args = append(t.GetArgs()[:auditedArgs], fmt.Sprintf("and %d more", n-auditedArgs))
	}
	if n := len(t.GetOptions()); n > 0 && proto.Size(&skepv1.TraceRequest{Options: t.GetOptions()}) > auditedScript {
		t.Options = map[string]string{"too_many": fmt.Sprint(n)}
	}
	return t
}
