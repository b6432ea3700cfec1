// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// day makes the records of a mixed day of a host: a shell's and cron's short commands,
// probes in containers, services that are asked and that ask others. Its ids, sizes and
// times are made as the agent makes them; what is random on a host is random here.
type day struct {
	random  *rand.Rand
	now     int64  // wall clock, ns
	booted  int64  // wall clock at boot
	step    int64  // mean time between two happenings, ns
	pid     uint32 // of the last process
	seq     map[string]uint64
	shells  []*skepv1.Process
	servers []*skepv1.Process
	apps    []*skepv1.Container
	pending []*skepv1.Record
}

const (
	dayNode = "6f1d2c3e-9a0b-4c5d-8e7f-001122334455"
	dayBoot = "0b1c2d3e-4f50-4172-8394-a5b6c7d8e9fa"
)

var dayStart = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func newDay(step time.Duration) *day {
	d := &day{random: rand.New(rand.NewPCG(1, 2)), now: dayStart.UnixNano(), step: int64(step), pid: 1000, seq: map[string]uint64{}}
	d.booted = d.now - 40*3600e9
	for i := range 12 {
		d.apps = append(d.apps, &skepv1.Container{
			Id: d.hex(64), Runtime: "containerd", Name: fmt.Sprintf("app-%d", i), Image: fmt.Sprintf("registry.local/shop/app-%d:1.%d.3", i, i),
			Labels: map[string]string{"io.kubernetes.container.name": fmt.Sprintf("app-%d", i), "tier": "backend"},
			PodUid: d.hex(32), Pod: fmt.Sprintf("app-%d-7d9c5b6f4-x%dz2k", i, i), Namespace: "shop",
		})
		d.servers = append(d.servers, d.process(nil, "app", fmt.Sprintf("/opt/app-%d/bin/app", i), d.apps[i]))
	}
	for _, unit := range []string{"ssh.service", "cron.service", "session-3.scope", "backup.service"} {
		p := d.process(nil, "bash", "/usr/bin/bash", nil)
		p.Unit = unit
		d.shells = append(d.shells, p)
	}
	return d
}

func (d *day) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[d.random.IntN(16)]
	}
	return string(b)
}

func (d *day) bootNS() int64 { return d.now - d.booted }

func (d *day) process(parent *skepv1.Process, comm, exe string, c *skepv1.Container) *skepv1.Process {
	d.pid++
	if d.pid > 4_000_000 {
		d.pid = 1000
	}
	id := fmt.Sprintf("6f1d2c3e0b1c2d3e-%d-%d", d.pid, d.bootNS())
	p := &skepv1.Process{ProcessId: id, ExecId: fmt.Sprintf("%s-%d", id, d.bootNS()), Pid: d.pid, Comm: comm, Exe: exe, Container: c}
	if parent != nil {
		p.ParentExecId, p.Ppid, p.Uid, p.Unit = parent.ExecId, parent.Pid, parent.Uid, parent.Unit
	}
	return p
}

// next is the next record. Records are not in the order of time by some milliseconds.
func (d *day) next() *skepv1.Record {
	for len(d.pending) == 0 {
		d.now += int64(float64(d.step) * d.random.ExpFloat64())
		if d.random.IntN(10) < 6 {
			d.command()
		} else {
			d.request()
		}
	}
	r := d.pending[0]
	d.pending = d.pending[1:]
	return r
}

func (d *day) add(kind string, p *skepv1.Process, body *skepv1.Record) {
	d.seq[kind]++
	body.NodeId, body.BootId, body.NodeName, body.Cluster = dayNode, dayBoot, "web-17", "prod-eu-1"
	body.Kind, body.Seq, body.Process = kind, d.seq[kind], p
	body.Time, body.BootNs = timestamppb.New(time.Unix(0, d.now)), uint64(d.bootNS())
	if c := p.GetContainer(); c != nil {
		body.Namespace, body.Pod = c.Namespace, c.Pod
	}
	d.pending = append(d.pending, body)
}

func (d *day) pass(most time.Duration) { d.now += d.random.Int64N(int64(most)) }

// command is a process's whole life: fork, exec, exit.
func (d *day) command() {
	names := []string{"sed", "grep", "cat", "date", "curl", "awk", "sleep", "id", "stat", "git", "python3", "df"}
	name := names[min(d.random.IntN(len(names)), d.random.IntN(len(names)))]
	parent := d.shells[d.random.IntN(len(d.shells))]
	if d.random.IntN(3) == 0 {
		parent = d.servers[d.random.IntN(len(d.servers))]
	}
	child := d.process(parent, parent.Comm, parent.Exe, parent.Container)
	start := d.bootNS()
	d.add("fork", child, &skepv1.Record{Body: &skepv1.Record_Fork{Fork: &skepv1.Fork{}}})
	d.pass(time.Millisecond)
	image := &skepv1.Process{
		ProcessId: child.ProcessId, ExecId: fmt.Sprintf("%s-%d", child.ProcessId, d.bootNS()), ParentExecId: parent.ExecId, Pid: child.Pid,
		Ppid: parent.Pid, Comm: name, Exe: "/usr/bin/" + name, Uid: parent.Uid, Container: parent.Container, Unit: parent.Unit,
	}
	d.add("exec", image, &skepv1.Record{Body: &skepv1.Record_Exec{Exec: d.exec(image, name)}})
	d.pass(20 * time.Millisecond)
	body := &skepv1.Exit{
		DurationNs: uint64(d.bootNS() - start), MaxRssBytes: uint64(900+d.random.IntN(3000)) * 4096,
		UserNs: uint64(d.random.IntN(2_000_000)), SystemNs: uint64(d.random.IntN(3_000_000)),
	}
	if d.random.IntN(20) == 0 {
		body.Code = 1
	}
	d.add("exit", image, &skepv1.Record{Body: &skepv1.Record_Exit{Exit: body}})
}

func (d *day) exec(p *skepv1.Process, name string) *skepv1.Exec {
	args := []string{name, "-e", fmt.Sprintf("s/%d/x/", d.random.IntN(1000)), fmt.Sprintf("/var/lib/app/data-%d.log", d.random.IntN(500))}
	inode := uint32(4026531834)
	if p.Container != nil {
		inode += uint32(len(p.Container.Name)) * 16
	}
	return &skepv1.Exec{
		Args: args, Cwd: "/var/lib/app", Filename: "/usr/bin/" + name,
		File:         &skepv1.File{Path: p.Exe, Device: "8:1", Inode: 131000 + uint64(len(name)), PathSource: "kernel"},
		Credentials:  &skepv1.Credentials{LoginUid: 4294967295},
		Capabilities: &skepv1.Capabilities{Inheritable: "0000000000000000", Permitted: "000001ffffffffff", Effective: "000001ffffffffff", Bounding: "000001ffffffffff", Ambient: "0000000000000000"},
		Namespaces:   &skepv1.Namespaces{Cgroup: inode, Ipc: inode + 1, Mnt: inode + 2, Net: inode + 3, Pid: inode + 4, Time: 4026531834, User: 4026531837, Uts: inode + 5},
		NsPid:        p.Pid, CgroupId: uint64(4000 + len(p.Unit)), Cgroup: "/system.slice/" + p.Unit, Session: 1000,
	}
}

// request is a connection seen from both ends: connect, accept, two closes.
func (d *day) request() {
	client, server := d.servers[d.random.IntN(len(d.servers))], d.servers[d.random.IntN(len(d.servers))]
	port := uint32(32768 + d.random.IntN(28000))
	a, b := fmt.Sprintf("10.42.0.%d", client.Pid%250), fmt.Sprintf("10.42.0.%d", server.Pid%250)
	sum := sha256.Sum256(fmt.Append(nil, a, port, b, d.now))
	id := "1:" + base64.StdEncoding.EncodeToString(sum[:20])
	out := func() *skepv1.Connection {
		return &skepv1.Connection{CommunityId: id, Family: "ipv4", Direction: "outbound", Netns: 4026531840 + client.Pid%12, OwnerSource: "connect",
			Local: &skepv1.Endpoint{Address: a, Port: port}, Remote: &skepv1.Endpoint{Address: b, Port: 8080}}
	}
	in := func() *skepv1.Connection {
		return &skepv1.Connection{CommunityId: id, Family: "ipv4", Direction: "inbound", Netns: 4026531840 + server.Pid%12, OwnerSource: "accept",
			Local: &skepv1.Endpoint{Address: b, Port: 8080}, Remote: &skepv1.Endpoint{Address: a, Port: port},
			Peer: &skepv1.Peer{ProcessId: client.ProcessId, ExecId: client.ExecId, Pid: client.Pid, Comm: client.Comm, Exe: client.Exe, ContainerId: client.Container.GetId()}}
	}
	began := d.now
	d.add("connect", client, &skepv1.Record{Body: &skepv1.Record_Connection{Connection: out()}})
	d.add("accept", server, &skepv1.Record{Body: &skepv1.Record_Connection{Connection: in()}})
	d.pass(80 * time.Millisecond)
	sent, received := uint64(200+d.random.IntN(800)), uint64(d.random.IntN(60000))
	for i, c := range []*skepv1.Connection{out(), in()} {
		c.BytesSent, c.BytesReceived = sent, received
		c.SegmentsSent, c.SegmentsReceived = uint32(4+sent/1448), uint32(4+received/1448)
		c.RttUs, c.RttVarUs = uint32(20+d.random.IntN(80)), uint32(d.random.IntN(40))
		c.DurationNs, c.CloseReason = uint64(d.now-began), "local"
		d.add("close", []*skepv1.Process{client, server}[i], &skepv1.Record{Body: &skepv1.Record_Connection{Connection: c}})
		sent, received = received, sent
	}
}
