// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

const (
	nodeID = "3b2f8c1e-6a54-4f0e-9d0b-5a1c7e2f4d90"
	bootID = "c41b0f5d-88e2-4b39-8f3e-0a7d1e6b2c55"
)

func container(name, image string, seed byte) *skepv1.Container {
	return &skepv1.Container{Id: strings.Repeat(fmt.Sprintf("%02x%02x", seed, seed*7+11), 16), Runtime: "containerd", Name: name, Image: image,
		Labels: map[string]string{"com.example.team": "payments", "org.opencontainers.image.title": name}}
}

// populate writes the cast: an ordinary server with a few containers.
func (a *Agent) populate() {
	web := container("shop-web", "registry.example/shop/web:4.2", 0x3a)
	api := container("shop-api", "registry.example/shop/api:4.2", 0x91)
	db := container("shop-db", "postgres:17.2", 0xc4)
	cache := container("shop-cache", "redis:7.4", 0xe8)
	init := a.add(nil, nil, 1, "/usr/lib/systemd/systemd", "/sbin/init", "splash")
	a.add(init, nil, 412, "/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald")
	sshd := a.add(init, nil, 733, "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
	runtime := a.add(init, nil, 801, "/usr/bin/containerd", "/usr/bin/containerd")
	a.add(init, nil, 866, "/usr/sbin/cron", "/usr/sbin/cron", "-f")
	login := a.add(sshd, nil, 4120, "/usr/sbin/sshd", "sshd: ada [priv]")
	shell := a.add(login, nil, 4127, "/usr/bin/bash", "-bash")
	a.add(shell, nil, 4391, "/usr/bin/htop", "htop")
	a.hostile(shell)
	nginx := a.add(a.shim(runtime, web, 1201), web, 1230, "/usr/sbin/nginx", "nginx: master process nginx -g daemon off;")
	var workers []*skepv1.ProcessInfo
	for i := range 4 {
		workers = append(workers, a.add(nginx, web, uint32(1251+i), "/usr/sbin/nginx", "nginx: worker process"))
	}
	app := a.add(a.shim(runtime, api, 1304), api, 1333, "/usr/local/bin/gunicorn", "/usr/local/bin/python3", "/usr/local/bin/gunicorn", "shop.wsgi:app", "--workers=3", "--bind=0.0.0.0:8000")
	pg := a.add(a.shim(runtime, db, 1402), db, 1431, "/usr/lib/postgresql/17/bin/postgres", "postgres", "-c", "shared_buffers=512MB")
	redis := a.add(a.shim(runtime, cache, 1500), cache, 1522, "/usr/local/bin/redis-server", "redis-server *:6379")
	a.listen(nginx, "0.0.0.0", 443)
	a.listen(app, "0.0.0.0", 8000)
	a.listen(pg, "::", 5432)
	a.listen(redis, "0.0.0.0", 6379)
	a.listen(sshd, "0.0.0.0", 22)
	for i := range 3 {
		py := a.add(app, api, uint32(1351+i), "/usr/local/bin/python3.13", "/usr/local/bin/python3", "/usr/local/bin/gunicorn", "shop.wsgi:app", "--workers=3")
		be := a.add(pg, db, uint32(1461+i), "/usr/lib/postgresql/17/bin/postgres", fmt.Sprintf("postgres: shop shop 10.88.0.7(%d) idle", 41000+i))
		a.pair(py, be, "10.88.0.7", "10.88.0.9", uint32(41000+i), 5432)
		a.pair(py, redis, "10.88.0.7", "10.88.0.11", uint32(42000+i), 6379)
		a.pair(workers[i], py, "10.88.0.5", "10.88.0.7", uint32(43000+i), 8000)
	}
	for i := range 24 {
		a.inbound(workers[i%4], fmt.Sprintf("203.0.113.%d", 4+i*9), uint32(30000+i*13), 443)
	}
	for i := range 3 {
		a.outbound(app, "198.51.100.44", uint32(51000+i), 443)
	}
	a.fail(app, "10.88.0.23", 9092)
	defer func() { a.cast = len(a.table) }()
	for i := range a.opts.Processes {
		a.add(init, nil, uint32(5000+i), "/usr/lib/worker/agent", "/usr/lib/worker/agent", fmt.Sprintf("--slot=%d", i))
	}
}

func (a *Agent) shim(runtime *skepv1.ProcessInfo, c *skepv1.Container, pid uint32) *skepv1.ProcessInfo {
	return a.add(runtime, nil, pid, "/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2", "-namespace", "shop", "-id", c.Id[:12])
}

// hostile adds a process whose every string attacks the screen.
func (a *Agent) hostile(parent *skepv1.ProcessInfo) {
	p := a.add(parent, nil, 4402, "/tmp/\u202egnp.exe", "\x1b[2J\x1b[31mroot#\x1b[0m", "<img src=x onerror=alert(1)>", "a\u202eb\u2066c", "line\nbreak", "\u200bzero", "bad\ufffdbyte")
	p.Process.Comm = "<b>\x1b[7m\r"
}

func (a *Agent) add(parent *skepv1.ProcessInfo, c *skepv1.Container, pid uint32, exe string, args ...string) *skepv1.ProcessInfo {
	p := a.process(parent, c, pid, exe, args...)
	p.Process.Preexisting = true
	p.Started = timestamppb.New(a.started.Add(time.Duration(pid) * 3 * time.Second))
	a.table = append(a.table, p)
	return p
}

func (a *Agent) process(parent *skepv1.ProcessInfo, c *skepv1.Container, pid uint32, exe string, args ...string) *skepv1.ProcessInfo {
	id := fmt.Sprintf("%s:%s:%d:%d", nodeID, bootID, pid, uint64(pid)*1_000_003)
	comm := exe[strings.LastIndexByte(exe, '/')+1:]
	proc := &skepv1.Process{ProcessId: id, ExecId: id + ":" + fmt.Sprint(uint64(pid)*1_000_003+812), Pid: pid, Ppid: parent.GetProcess().GetPid(),
		ParentExecId: parent.GetProcess().GetExecId(), Comm: comm[:min(15, len(comm))], Exe: exe, Container: c, Uid: 0}
	caps := "000001ffffffffff"
	if c != nil {
		proc.Uid, caps = 101, "00000000a80425fb"
	} else {
		proc.Unit = map[bool]string{true: "session-4.scope", false: comm + ".service"}[pid > 4100]
	}
	return &skepv1.ProcessInfo{Process: proc, Started: timestamppb.Now(), Args: args, Cwd: "/srv", Exec: &skepv1.Exec{
		Args: args, Cwd: "/srv", Filename: exe, File: &skepv1.File{Path: exe, Device: "254:1", Inode: uint64(pid)*97 + 100000, PathSource: "kernel"},
		Credentials:  &skepv1.Credentials{Uid: proc.Uid, Gid: proc.Uid, Euid: proc.Uid, Egid: proc.Uid, Suid: proc.Uid, Sgid: proc.Uid, Fsuid: proc.Uid, Fsgid: proc.Uid, LoginUid: 4294967295},
		Capabilities: &skepv1.Capabilities{Permitted: caps, Effective: caps, Bounding: caps, Inheritable: "0000000000000000", Ambient: "0000000000000000"},
		Namespaces:   &skepv1.Namespaces{Cgroup: 4026531835, Ipc: 4026531839, Mnt: 4026532201 + pid/100, Net: 4026531840, Pid: 4026531836, Time: 4026531834, User: 4026531837, Uts: 4026531838},
		NsPid:        pid, CgroupId: 4200 + uint64(pid), Cgroup: "/system.slice", Session: 4127, Tty: "pts/3"}}
}
