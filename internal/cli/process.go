// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// showProcess prints one process whole. A number is a pid, anything else an id.
func (a *app) showProcess(ctx context.Context, c *client, what, output string) error {
	req := &skepv1.GetProcessRequest{Id: what}
	if pid, err := strconv.ParseUint(what, 10, 32); err == nil {
		req = &skepv1.GetProcessRequest{Pid: uint32(pid)}
	}
	got, err := c.GetProcess(ctx, req)
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(a, got)
	}
	v := sheet{screen: a.screen, users: a.users(), now: time.Now()}
	v.process(got.GetProcess())
	v.relatives(got)
	v.connections(a, got.GetConnections())
	return a.print(v.String())
}

// sheet is a page of "name: value" lines.
type sheet struct {
	strings.Builder
	screen screen
	users  userNames
	now    time.Time
}

const labelColumns = 14

// line prints a name and a value, or nothing where there is no value. The
// value must be printable.
func (v *sheet) line(name, value string) {
	if value != "" {
		fmt.Fprintf(v, "%s%*s%s\n", v.screen.paint(bold, name), labelColumns-len(name), "", value)
	}
}

// hostile is line for a value that somebody else wrote.
func (v *sheet) hostile(name, value string) { v.line(name, event.Printable(value)) }

func (v *sheet) section(name string) {
	fmt.Fprintf(v, "\n%s\n", v.screen.paint(bold, name))
}

func (v *sheet) process(i *skepv1.ProcessInfo) {
	p := i.GetProcess()
	title := who(p.GetComm(), p.GetPid())
	if p.GetPreexisting() {
		title += " (was there before the agent)"
	}
	v.line("Process", title)
	v.line("Command", processCommand(i))
	v.hostile("Executable", p.GetExe())
	v.hostile("Directory", directory(v.screen, i))
	v.line("User", v.users.of(p)+" ("+strconv.FormatUint(uint64(p.GetUid()), 10)+")")
	v.line("Started", v.moment(i.GetStarted()))
	v.exit(i)
	v.hostile("Unit", p.GetUnit())
	v.container(p.GetContainer())
	v.exec(i.GetExec())
	v.hostile("Process id", p.GetProcessId())
	v.hostile("Exec id", p.GetExecId())
	v.hostile("Parent exec", p.GetParentExecId())
}

func (v *sheet) moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format(time.RFC3339Nano) + " (" + formatAge(v.now.Sub(t.AsTime())) + " ago)"
}

func (v *sheet) exit(i *skepv1.ProcessInfo) {
	v.line("Ended", v.moment(i.GetExited()))
	if x := i.GetExit(); x != nil {
		v.line("Exit", string(newEssence(v.screen).exit(nil, x)))
	}
}

func (v *sheet) container(c *skepv1.Container) {
	if c.GetId() == "" {
		return
	}
	v.line("Container", strings.TrimSpace(containerName(c)+" "+event.Printable(c.GetId())))
	v.hostile("Runtime", c.GetRuntime())
	v.hostile("Image", c.GetImage())
	v.hostile("Pod", strings.Trim(c.GetNamespace()+"/"+c.GetPod(), "/"))
	v.hostile("Pod uid", c.GetPodUid())
}

func (v *sheet) exec(x *skepv1.Exec) {
	if x == nil {
		return
	}
	if x.GetScript() != "" {
		v.hostile("Script", x.GetScript())
	}
	if f := x.GetFile(); f.GetInode() != 0 {
		v.hostile("File", fmt.Sprintf("%s, device %s, inode %d", f.GetPath(), f.GetDevice(), f.GetInode()))
	}
	v.line("Flags", strings.TrimSpace(string(newEssence(screen{}).execFlags(nil, x, 0))))
	if c := x.GetCredentials(); c != nil {
		v.line("Credentials", fmt.Sprintf("uid %d %d %d %d, gid %d %d %d %d (real, effective, saved, file system), login uid %s",
			c.GetUid(), c.GetEuid(), c.GetSuid(), c.GetFsuid(), c.GetGid(), c.GetEgid(), c.GetSgid(), c.GetFsgid(), loginUID(c.GetLoginUid())))
	}
	if c := x.GetCapabilities(); c != nil {
		v.hostile("Capabilities", fmt.Sprintf("effective %s, permitted %s, inheritable %s, bounding %s, ambient %s",
			c.GetEffective(), c.GetPermitted(), c.GetInheritable(), c.GetBounding(), c.GetAmbient()))
	}
	v.line("Namespaces", namespaces(x))
	v.hostile("Cgroup", x.GetCgroup())
	if x.GetSession() != 0 {
		v.hostile("Session", strings.TrimSpace(strconv.FormatUint(uint64(x.GetSession()), 10)+" "+x.GetTty()))
	}
}

// namespaces are those that are known: of some processes /proc does not say.
func namespaces(x *skepv1.Exec) string {
	n := x.GetNamespaces()
	if n == nil {
		return ""
	}
	var known []string
	for _, ns := range []struct {
		name  string
		inode uint32
	}{
		{"cgroup", n.GetCgroup()}, {"ipc", n.GetIpc()}, {"mnt", n.GetMnt()}, {"net", n.GetNet()},
		{"pid", n.GetPid()}, {"time", n.GetTime()}, {"user", n.GetUser()}, {"uts", n.GetUts()},
	} {
		if ns.inode == 0 {
			continue
		}
		text := fmt.Sprintf("%s %d", ns.name, ns.inode)
		if ns.name == "pid" {
			text += fmt.Sprintf(" (pid %d there)", x.GetNsPid())
		}
		known = append(known, text)
	}
	if len(known) == 0 {
		return "not known"
	}
	return strings.Join(known, ", ")
}

func loginUID(uid uint32) string {
	if uid == ^uint32(0) {
		return "not set"
	}
	return strconv.FormatUint(uint64(uid), 10)
}

func (v *sheet) relatives(got *skepv1.GetProcessResponse) {
	if len(got.GetAncestors()) > 0 {
		v.section("Ancestors")
		for _, p := range got.GetAncestors() {
			v.relative(p)
		}
	}
	if len(got.GetChildren()) > 0 {
		v.section("Children")
		for _, p := range got.GetChildren() {
			v.relative(p)
		}
	}
}

func (v *sheet) relative(p *skepv1.ProcessInfo) {
	ended := ""
	if p.GetExited() != nil {
		ended = v.screen.paint(dim, " (ended)")
	}
	fmt.Fprintf(v, "  %7d  %s%s\n", p.GetProcess().GetPid(), processCommand(p), ended)
}

func (v *sheet) connections(a *app, conns []*skepv1.ConnectionInfo) {
	if len(conns) == 0 {
		return
	}
	v.section("Connections")
	v.Write(a.connectionTable(conns, v.now).render(nil, v.screen, a.width()))
}

// directory is the working directory; one whose front is missing does not look relative.
func directory(s screen, i *skepv1.ProcessInfo) string {
	if i.GetExec().GetCwdTruncated() {
		return s.glyph("…/", ".../") + i.GetCwd()
	}
	return i.GetCwd()
}
