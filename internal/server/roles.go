// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"os/user"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// required is the role that each RPC takes. A test holds it against the
// service's descriptor; an RPC that is not here is refused.
var required = map[string]skepv1.Role{
	skepv1connect.AgentServiceGetStatusProcedure:       skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceGetDoctorProcedure:       skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceObserveProcedure:         skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceCountRecordsProcedure:    skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceListProcessesProcedure:   skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceGetProcessProcedure:      skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceListConnectionsProcedure: skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceTopProcedure:             skepv1.Role_ROLE_VIEW,
	// Tools that say so; the handler wants role admin for all others.
	skepv1connect.AgentServiceTraceProcedure:          skepv1.Role_ROLE_OPERATE,
	skepv1connect.AgentServiceEndTraceProcedure:       skepv1.Role_ROLE_OPERATE,
	skepv1connect.AgentServiceInstallTraceProcedure:   skepv1.Role_ROLE_ADMIN,
	skepv1connect.AgentServiceListTracesProcedure:     skepv1.Role_ROLE_ADMIN,
	skepv1connect.AgentServiceTraceLogsProcedure:      skepv1.Role_ROLE_ADMIN,
	skepv1connect.AgentServiceRemoveTraceProcedure:    skepv1.Role_ROLE_ADMIN,
	skepv1connect.AgentServiceListToolsProcedure:      skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceExportProcedure:         skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceGetDiagnosticsProcedure: skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceGetIdentityProcedure:    skepv1.Role_ROLE_VIEW,
	skepv1connect.AgentServiceCreateTokenProcedure:    skepv1.Role_ROLE_VIEW,
}

// streaming are the RPCs that answer with a stream, which may last.
var streaming = streamingOf(skepv1.File_skep_v1_agent_proto.Services().ByName("AgentService"))

func streamingOf(service protoreflect.ServiceDescriptor) map[string]bool {
	all := map[string]bool{}
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		all[fmt.Sprintf("/%s/%s", service.FullName(), m.Name())] = m.IsStreamingServer()
	}
	return all
}

// RoleConfig says which local accounts have which role. Groups and users are
// names or numbers, and nobody if they are empty. uid 0 is always admin.
type RoleConfig struct {
	ViewGroup    string
	OperateGroup string
	// WebUser is the account of skep serve; it has role view.
	WebUser string
}

// directory resolves names of accounts.
type directory interface {
	group(name string) (gid uint32, ok bool)
	user(name string) (uid uint32, ok bool)
	userName(uid uint32) string
}

// refreshAfter is how long resolved names are believed: a group that is made
// or removed while the agent runs counts after that.
const refreshAfter = 10 * time.Second

// roles decides the role of a peer.
type roles struct {
	config    RoleConfig
	directory directory
	now       func() time.Time

	mu                  sync.Mutex
	resolved            time.Time
	view, operate, web  uint32
	hasView, hasOperate bool
	hasWeb              bool
	names               map[uint32]string
}

func newRoles(config RoleConfig, d directory, now func() time.Time) *roles {
	return &roles{config: config, directory: d, now: now}
}

// of is the role of a peer, and the name of its user.
func (r *roles) of(p peer) skepv1.Role {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	switch {
	case p.uid == 0:
		return skepv1.Role_ROLE_ADMIN
	case r.hasOperate && p.in(r.operate):
		return skepv1.Role_ROLE_OPERATE
	case r.hasView && p.in(r.view), r.hasWeb && p.uid == r.web:
		return skepv1.Role_ROLE_VIEW
	}
	return skepv1.Role_ROLE_UNSPECIFIED
}

// name is the user name of a uid, or its number.
func (r *roles) name(uid uint32) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	name, ok := r.names[uid]
	if !ok {
		name = r.directory.userName(uid)
		r.names[uid] = name
	}
	return name
}

func (r *roles) refresh() {
	if now := r.now(); r.resolved.IsZero() || now.Sub(r.resolved) > refreshAfter {
		r.resolved = now
		r.view, r.hasView = lookup(r.directory.group, r.config.ViewGroup)
		r.operate, r.hasOperate = lookup(r.directory.group, r.config.OperateGroup)
		r.web, r.hasWeb = lookup(r.directory.user, r.config.WebUser)
		r.names = map[uint32]string{}
	}
}

// lookup resolves a configured name; the empty one is nobody's.
func lookup(resolve func(string) (uint32, bool), name string) (uint32, bool) {
	if name == "" {
		return 0, false
	}
	return resolve(name)
}

// refusal says to a caller what is missing and how to get it.
func (r *roles) refusal(c caller, need skepv1.Role) error {
	group := r.config.ViewGroup
	if need == skepv1.Role_ROLE_OPERATE {
		group = r.config.OperateGroup
	}
	advice := fmt.Sprintf("run as root, or join group %s (sudo groupadd -f %s; sudo usermod -aG %s %s; then log in again)", group, group, group, c.user)
	switch {
	case need == skepv1.Role_ROLE_ADMIN, group == "":
		advice = "run as root"
	case c.token != nil:
		advice = "use a token with that role"
	}
	return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("this needs role %s, %s (uid %d) has %s: %s",
		roleName(need), c.user, c.uid, roleName(c.role), advice))
}

// roleName is the role as JSON and messages show it.
func roleName(r skepv1.Role) string {
	switch r {
	case skepv1.Role_ROLE_VIEW:
		return "view"
	case skepv1.Role_ROLE_OPERATE:
		return "operate"
	case skepv1.Role_ROLE_ADMIN:
		return "admin"
	}
	return "none"
}

// accounts is the directory of this machine: /etc/passwd and /etc/group (a
// static binary cannot ask NSS modules; give numbers for accounts from LDAP).
type accounts struct{}

func (accounts) group(name string) (uint32, bool) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(id), true
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err == nil
}

func (accounts) user(name string) (uint32, bool) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(id), true
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(id), err == nil
}

func (accounts) userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
