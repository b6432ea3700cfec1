// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func TestEveryRPCHasARole(t *testing.T) {
	service := skepv1.File_skep_v1_agent_proto.Services().ByName("AgentService")
	methods := service.Methods()
	for i := range methods.Len() {
		procedure := fmt.Sprintf("/%s/%s", service.FullName(), methods.Get(i).Name())
		if role := required[procedure]; role < skepv1.Role_ROLE_VIEW || role > skepv1.Role_ROLE_ADMIN {
			t.Errorf("%s has no role in the table", procedure)
		}
	}
	if len(required) != methods.Len() {
		t.Errorf("the table has %d RPCs, the service %d", len(required), methods.Len())
	}
}

// A role includes those below it, and none of those above.
func TestAllow(t *testing.T) {
	a := newAgent(t)
	const probe = "/skep.v1.AgentService/Probe"
	t.Cleanup(func() { delete(required, probe) })
	for need := skepv1.Role_ROLE_VIEW; need <= skepv1.Role_ROLE_ADMIN; need++ {
		required[probe] = need
		for own := skepv1.Role_ROLE_UNSPECIFIED; own <= skepv1.Role_ROLE_ADMIN; own++ {
			if err := a.allow(caller{role: own}, probe); (err == nil) != (own >= need) {
				t.Errorf("%v for what needs %v: %v", own, need, err)
			}
		}
	}
	if err := a.allow(caller{role: skepv1.Role_ROLE_ADMIN}, "/skep.v1.AgentService/Unlisted"); err == nil {
		t.Error("an RPC without an entry was allowed")
	}
}

// The roles must follow the credentials that the kernel reports, seen by
// connecting as processes of other users.
func TestRoleOfAnotherUser(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	crowd := make([]uint32, 300) // more groups than peerGroups first has room for
	for i := range crowd {
		crowd[i] = 62000 + uint32(i)
	}
	for _, c := range []struct {
		name string
		cred syscall.Credential
		role string
		say  string
	}{
		{"root", syscall.Credential{Uid: 0, Gid: 0}, "admin", `"user":"root"`},
		{"view by primary group", syscall.Credential{Uid: 61000, Gid: viewGID}, "view", `"uid":61000`},
		{"view by supplementary group", syscall.Credential{Uid: 61000, Gid: 61000, Groups: []uint32{5, viewGID}}, "view", ""},
		{"operate by supplementary group", syscall.Credential{Uid: 61000, Gid: viewGID, Groups: []uint32{operateGID}}, "operate", ""},
		{"last of many groups", syscall.Credential{Uid: 61000, Gid: 61000, Groups: append(crowd, viewGID)}, "view", ""},
		{"web server", syscall.Credential{Uid: webUID, Gid: 61000}, "view", ""},
		{"group root is not uid 0", syscall.Credential{Uid: 61000, Gid: 0}, "none", "permission_denied"},
		{"nobody", syscall.Credential{Uid: nobodyUID, Gid: nobodyUID}, "none", "usermod -aG 61001 61009"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := a.as(t, c.cred, "identity")
			if !strings.HasPrefix(out, c.role+" ") || !strings.Contains(out, c.say) {
				t.Errorf("got %s\nwant role %s and %q", out, c.role, c.say)
			}
		})
	}
	refusals := slices.DeleteFunc(a.audit.all(t), func(l map[string]any) bool { return l["event"] != "refused" })
	if len(refusals) != 2 || refusals[1]["uid"] != float64(nobodyUID) || refusals[1]["code"] != "permission_denied" {
		t.Errorf("audited refusals: %v", refusals)
	}
}

// register is a directory of accounts that changes.
type register struct {
	groups, users map[string]uint32
	asked         int
}

func (r *register) group(name string) (uint32, bool) {
	r.asked++
	id, ok := r.groups[name]
	return id, ok
}
func (r *register) user(name string) (uint32, bool) { id, ok := r.users[name]; return id, ok }
func (r *register) userName(uid uint32) string      { return fmt.Sprint("user-", uid) }

func TestRolesFollowTheDirectory(t *testing.T) {
	now := time.Unix(1000, 0)
	reg := &register{groups: map[string]uint32{}, users: map[string]uint32{}}
	r := newRoles(RoleConfig{ViewGroup: "skep", OperateGroup: "ops", WebUser: "web"}, reg, func() time.Time { return now })
	expect := func(p peer, want string) {
		t.Helper()
		if got := roleName(r.of(p)); got != want {
			t.Errorf("at %v: %+v is %s, want %s", now.Unix(), p, got, want)
		}
	}
	// Groups and users that do not exist must not become gid 0 or uid 0.
	expect(peer{uid: 1, gid: 0}, "none")
	expect(peer{uid: 0, gid: 5}, "admin")
	reg.groups["skep"], reg.groups["ops"], reg.users["web"] = 10, 11, 12
	expect(peer{uid: 1, gid: 10}, "none") // not looked up again yet
	asked := reg.asked
	now = now.Add(refreshAfter + time.Second)
	expect(peer{uid: 1, gid: 10}, "view")
	expect(peer{uid: 1, gid: 1, groups: []uint32{10, 11}}, "operate")
	expect(peer{uid: 12, gid: 1}, "view")
	expect(peer{uid: 12, gid: 11}, "operate")
	if reg.asked != asked+2 {
		t.Errorf("asked %d times for two groups", reg.asked-asked)
	}
	delete(reg.groups, "skep")
	now = now.Add(refreshAfter + time.Second)
	expect(peer{uid: 1, gid: 10}, "none")
}

// TestNoGroupIsNobody: whoever leaves a role's group empty gives it to nobody.
func TestNoGroupIsNobody(t *testing.T) {
	reg := &register{groups: map[string]uint32{"": 9, "skep": 10, "skep-operators": 11}, users: map[string]uint32{"": 5}}
	r := newRoles(RoleConfig{}, reg, time.Now)
	for _, p := range []peer{{uid: 1, gid: 9}, {uid: 1, gid: 10}, {uid: 1, gid: 11}, {uid: 5, gid: 5}} {
		if role := r.of(p); role != skepv1.Role_ROLE_UNSPECIFIED {
			t.Errorf("%+v is %s", p, roleName(role))
		}
	}
	err := r.refusal(caller{user: "ann"}, skepv1.Role_ROLE_VIEW)
	if !strings.HasSuffix(err.Error(), "has none: run as root") {
		t.Errorf("refused with %v", err)
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	r := newRoles(RoleConfig{ViewGroup: "skep", OperateGroup: "skep-operators"}, &register{}, time.Now)
	view, operate, admin := skepv1.Role_ROLE_VIEW, skepv1.Role_ROLE_OPERATE, skepv1.Role_ROLE_ADMIN
	for _, c := range []struct {
		caller caller
		need   skepv1.Role
		want   string
	}{
		{caller{user: "ann", uid: 5}, view, "this needs role view, ann (uid 5) has none: run as root, or join group skep ("},
		{caller{user: "ann", role: view}, operate, "join group skep-operators ("},
		{caller{user: "ann", role: operate}, admin, "ann (uid 0) has operate: run as root"},
		{caller{user: "ann", role: view, token: &token{}}, operate, "has view: use a token with that role"},
	} {
		err := r.refusal(c.caller, c.need)
		if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}
