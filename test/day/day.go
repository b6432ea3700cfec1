// SPDX-License-Identifier: Apache-2.0

// Package day makes the records of a mixed day of a host, for tests and for the benchmark of
// the disk log.
package day

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Day makes the records of a mixed day of a host: a shell's and cron's short commands,
// probes in containers, services that are asked and that ask others. Its ids, sizes and
// times are made as the agent makes them; what is random on a host is random here.
type Day struct {
	random  *rand.Rand
	now     int64  // wall clock, ns
	booted  int64  // wall clock at boot
	step    int64  // mean time between two happenings, ns
	pid     uint32 // of the last process
	seq     map[string]uint64
	shells  []*skepv1.Process
	servers []*skepv1.Process
	// Apps are the containers.
	Apps    []*skepv1.Container
	names   *rand.Zipf // of hosts that are asked for
	pending []*skepv1.Record
}

// What the records say of where they come from.
const (
	Node = "6f1d2c3e-9a0b-4c5d-8e7f-001122334455"
	Boot = "0b1c2d3e-4f50-4172-8394-a5b6c7d8e9fa"
)

// Start is when the days of tests begin.
var Start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// New begins a day in which something happens every step on average: a command runs,
// or a service is asked.
func New(begin time.Time, step time.Duration) *Day {
	d := &Day{random: rand.New(rand.NewPCG(1, 2)), now: begin.UnixNano(), step: int64(step), pid: 1000, seq: map[string]uint64{}}
	d.booted = d.now - 40*3600e9
	d.names = rand.NewZipf(d.random, 1.3, 4, 2000)
	for i := range 12 {
		d.Apps = append(d.Apps, &skepv1.Container{
			Id: d.hex(64), Runtime: "containerd", Name: fmt.Sprintf("app-%d", i), Image: fmt.Sprintf("registry.local/shop/app-%d:1.%d.3", i, i),
			Labels: map[string]string{"io.kubernetes.container.name": fmt.Sprintf("app-%d", i), "tier": "backend"},
			PodUid: d.hex(32), Pod: fmt.Sprintf("app-%d-7d9c5b6f4-x%dz2k", i, i), Namespace: "shop",
		})
		server := d.process(nil, "app", fmt.Sprintf("/opt/app-%d/bin/app", i), d.Apps[i])
		server.Uid = uint32(10001 + i%4)
		d.servers = append(d.servers, server)
	}
	for _, unit := range []string{"ssh.service", "cron.service", "session-3.scope", "backup.service"} {
		p := d.process(nil, "bash", "/usr/bin/bash", nil)
		p.Unit = unit
		if unit == "session-3.scope" {
			p.Uid = 1000
		}
		d.shells = append(d.shells, p)
	}
	return d
}

func (d *Day) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[d.random.IntN(16)]
	}
	return string(b)
}

func (d *Day) bootNS() int64 { return d.now - d.booted }

func (d *Day) process(parent *skepv1.Process, comm, exe string, c *skepv1.Container) *skepv1.Process {
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

// Next is the next record. Records are not in the order of time by some milliseconds.
func (d *Day) Next() *skepv1.Record {
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

// Add gives a record all that records of a kind have, and puts it behind those that are due.
func (d *Day) Add(kind string, p *skepv1.Process, body *skepv1.Record) {
	d.seq[kind]++
	body.NodeId, body.BootId, body.NodeName, body.Cluster = Node, Boot, "web-17", "prod-eu-1"
	body.Kind, body.Seq, body.Process = kind, d.seq[kind], p
	body.Time, body.BootNs = timestamppb.New(time.Unix(0, d.now)), uint64(d.bootNS())
	if c := p.GetContainer(); c != nil {
		body.Namespace, body.Pod = c.Namespace, c.Pod
	}
	d.pending = append(d.pending, body)
}

func (d *Day) pass(most time.Duration) { d.now += d.random.Int64N(int64(most)) }

// command is a process's whole life: fork, exec, exit.
func (d *Day) command() {
	names := []string{"sed", "grep", "cat", "date", "curl", "awk", "sleep", "id", "stat", "git", "python3", "df"}
	name := names[min(d.random.IntN(len(names)), d.random.IntN(len(names)))]
	parent := d.shells[d.random.IntN(len(d.shells))]
	if d.random.IntN(3) == 0 {
		parent = d.servers[d.random.IntN(len(d.servers))]
	}
	child := d.process(parent, parent.Comm, parent.Exe, parent.Container)
	start := d.bootNS()
	d.Add("fork", child, &skepv1.Record{Body: &skepv1.Record_Fork{Fork: &skepv1.Fork{}}})
	d.pass(time.Millisecond)
	image := &skepv1.Process{
		ProcessId: child.ProcessId, ExecId: fmt.Sprintf("%s-%d", child.ProcessId, d.bootNS()), ParentExecId: parent.ExecId, Pid: child.Pid,
		Ppid: parent.Pid, Comm: name, Exe: "/usr/bin/" + name, Uid: parent.Uid, Container: parent.Container, Unit: parent.Unit,
	}
	d.Add("exec", image, &skepv1.Record{Body: &skepv1.Record_Exec{Exec: d.exec(image, name)}})
	d.pass(20 * time.Millisecond)
	if d.random.IntN(3) == 0 {
		d.writeFile(image)
	}
	body := &skepv1.Exit{
		DurationNs: uint64(d.bootNS() - start), MaxRssBytes: uint64(900+d.random.IntN(3000)) * 4096,
		UserNs: uint64(d.random.IntN(2_000_000)), SystemNs: uint64(d.random.IntN(3_000_000)),
	}
	if d.random.IntN(20) == 0 {
		body.Code = 1
	}
	d.Add("exit", image, &skepv1.Record{Body: &skepv1.Record_Exit{Exit: body}})
}

func (d *Day) exec(p *skepv1.Process, name string) *skepv1.Exec {
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
