// SPDX-License-Identifier: Apache-2.0

// Package sample is records to test with.
package sample

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Time is when the record of sequence number 0 would be.
var Time = time.Date(2026, 3, 1, 12, 30, 0, 123456000, time.UTC)

// ProcessID is that of Process.
const ProcessID = "6f1d2c3e-9a0b-4c5d-8e7f-001122334455:0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa:4711:123456789012"

// Envelope is a record of a kind without anything in it; each is 1 ms after the one before.
func Envelope(kind string, seq uint64) *skepv1.Record {
	return &skepv1.Record{
		NodeId: "6f1d2c3e-9a0b-4c5d-8e7f-001122334455", BootId: "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa",
		Kind: kind, Seq: seq, Time: timestamppb.New(Time.Add(time.Duration(seq) * time.Millisecond)),
		BootNs: 123456789012 + seq, NodeName: "host-1",
	}
}

// Process is one in a container.
func Process() *skepv1.Process {
	return &skepv1.Process{
		ProcessId: ProcessID, ExecId: ProcessID + ":123456999999", ParentExecId: ProcessID + ":1",
		Pid: 4711, Ppid: 1200, Comm: "curl", Exe: "/usr/bin/curl", Uid: 1000, Unit: "app.service",
		Container: &skepv1.Container{
			Id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Runtime: "containerd",
			Name: "web", Image: "docker.io/library/web:1", Pod: "web-0", Namespace: "shop", PodUid: "0c1d",
			Labels: map[string]string{"b": "2", "a": "1"},
		},
	}
}

// Exec is of Process.
func Exec(seq uint64) *skepv1.Record {
	r := Envelope("exec", seq)
	r.Process = Process()
	r.Body = &skepv1.Record_Exec{Exec: &skepv1.Exec{
		Args: []string{"curl", "-sS", "https://example.org/"}, Cwd: "/home/user",
		File:     &skepv1.File{Path: "/usr/bin/curl", Device: "8:1", Inode: 1234567, PathSource: "kernel"},
		Filename: "/usr/bin/curl",
		Credentials: &skepv1.Credentials{
			Uid: 1000, Gid: 1000, Euid: 1000, Egid: 1000, Suid: 1000, Sgid: 1000, Fsuid: 1000, Fsgid: 1000, LoginUid: 4294967295,
		},
		Capabilities: &skepv1.Capabilities{Bounding: "000001ffffffffff"},
		Namespaces: &skepv1.Namespaces{
			Cgroup: 4026531835, Ipc: 4026531839, Mnt: 4026531841, Net: 4026531840, Pid: 4026531836, Time: 4026531834, User: 4026531837, Uts: 4026531838,
		},
		NsPid: 4711, CgroupId: 4321, Cgroup: "/user.slice/user-1000.slice", Session: 4000, Tty: "pts/3",
	}}
	return r
}

// Close is the end of a connection of Process.
func Close(seq uint64) *skepv1.Record {
	r := Envelope("close", seq)
	r.Process = Process()
	r.Body = &skepv1.Record_Connection{Connection: &skepv1.Connection{
		CommunityId: "1:wCb3OG7yAFWelaUydu0D+125CLM=",
		Local:       &skepv1.Endpoint{Address: "10.1.2.3", Port: 43210},
		Remote:      &skepv1.Endpoint{Address: "2001:db8::5", Port: 443},
		Family:      "ipv6", Direction: "outbound", BytesSent: 123, BytesReceived: 1 << 60, RttUs: 85, CloseReason: "peer",
	}}
	return r
}

// DNS is an answer to Process.
func DNS(seq uint64) *skepv1.Record {
	r := Envelope("dns", seq)
	r.Process = Process()
	r.Body = &skepv1.Record_Dns{Dns: &skepv1.Dns{
		Outcome: "answered", Name: "example.org", Type: "AAAA", Rcode: "NOERROR", LatencyNs: 1234567,
		Answers: []*skepv1.DnsAnswer{{Name: "example.org", Type: "CNAME", Ttl: 60, Data: "www.example.org"}, {Name: "www.example.org", Type: "AAAA", Data: "2001:db8::5"}},
		Client:  &skepv1.Endpoint{Address: "10.1.2.3", Port: 43210}, Server: &skepv1.Endpoint{Address: "2001:db8::53", Port: 53}, Protocol: "udp",
	}}
	return r
}

// Loss is of three records of a kind.
func Loss(lost string) *skepv1.Record {
	r := Envelope("loss", 1)
	r.Body = &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: lost, Count: 3, Place: "ring_full"}}
	return r
}

// File is a renaming by Process.
func File() *skepv1.Record {
	r := Envelope("file", 1)
	r.Process = Process()
	r.Body = &skepv1.Record_File{File: &skepv1.FileOperation{Operation: "rename", Path: "/etc/hosts", NewPath: "/srv/hosts"}}
	return r
}
