// SPDX-License-Identifier: Apache-2.0

package event

import (
	"unsafe"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Sizes in memory of what a record is made of.
const (
	recordSize     = int(unsafe.Sizeof(skepv1.Record{})) + int(unsafe.Sizeof(skepv1.Record_Exec{})) + 48 // + Timestamp
	processSize    = int(unsafe.Sizeof(skepv1.Process{}))
	connectionSize = int(unsafe.Sizeof(skepv1.Connection{})) + 2*int(unsafe.Sizeof(skepv1.Endpoint{}))
	execSize       = int(unsafe.Sizeof(skepv1.Exec{})) + int(unsafe.Sizeof(skepv1.File{})) +
		int(unsafe.Sizeof(skepv1.Credentials{})) + int(unsafe.Sizeof(skepv1.Capabilities{})) + int(unsafe.Sizeof(skepv1.Namespaces{}))
	dnsSize    = int(unsafe.Sizeof(skepv1.Dns{})) + 2*int(unsafe.Sizeof(skepv1.Endpoint{}))
	fileSize   = int(unsafe.Sizeof(skepv1.FileOperation{}))
	unixSize   = int(unsafe.Sizeof(skepv1.UnixConnect{}))
	hostSize   = int(unsafe.Sizeof(skepv1.HostCall{}))
	stringSize = int(unsafe.Sizeof(""))
)

// Size estimates the memory that a record keeps alive, in bytes, in well under
// the time that proto.Size takes. What records share counts in full for those
// that usually bring it (the process of a fork or exec) and not for the others;
// containers are never counted, they live in the identity table.
func Size(r *skepv1.Record) int {
	size := recordSize
	switch body := r.GetBody().(type) {
	case *skepv1.Record_Exec:
		size += execBytes(body.Exec) + processBytes(r.GetProcess())
	case *skepv1.Record_Fork:
		size += processBytes(r.GetProcess())
	case *skepv1.Record_Connection:
		size += connectionBytes(body.Connection)
	case *skepv1.Record_Dns:
		size += dnsBytes(body.Dns)
	case *skepv1.Record_File:
		size += fileBytes(body.File)
	case *skepv1.Record_Unix:
		size += unixBytes(body.Unix)
	case *skepv1.Record_Host:
		size += hostBytes(body.Host)
	case *skepv1.Record_Exit:
		size += int(unsafe.Sizeof(skepv1.Exit{}))
	default:
		size += 256
	}
	return size + size/8 // the allocator's size classes round up by at most that
}

func processBytes(p *skepv1.Process) int {
	return processSize + len(p.GetProcessId()) + len(p.GetExecId()) + len(p.GetParentExecId()) + len(p.GetComm()) + len(p.GetExe())
}

func execBytes(e *skepv1.Exec) int {
	size := execSize + len(e.GetArgsRaw()) + len(e.GetCwd()) + len(e.GetScript()) + len(e.GetFilename()) + len(e.GetCgroup())
	size += len(e.GetFile().GetPath()) + 160 // device, five capability masks, tty
	for _, arg := range e.GetArgs() {
		size += stringSize + len(arg)
	}
	return size
}

func connectionBytes(c *skepv1.Connection) int {
	size := connectionSize + len(c.GetCommunityId()) + len(c.GetLocal().GetAddress()) + len(c.GetRemote().GetAddress()) + len(c.GetRemoteName())
	if c.GetPeer() != nil {
		size += int(unsafe.Sizeof(skepv1.Peer{})) + len(c.GetPeer().GetExe())
	}
	return size
}

func dnsBytes(d *skepv1.Dns) int {
	size := dnsSize + len(d.GetName()) + len(d.GetCommunityId()) + len(d.GetClient().GetAddress()) + len(d.GetServer().GetAddress())
	for _, a := range d.GetAnswers() {
		size += int(unsafe.Sizeof(skepv1.DnsAnswer{})) + 8 + len(a.GetName()) + len(a.GetData())
	}
	return size
}

func fileBytes(f *skepv1.FileOperation) int {
	return fileSize + len(f.GetPath()) + len(f.GetNewPath()) + len(f.GetTarget()) + 64 // device, flags, mode, owner
}

func unixBytes(u *skepv1.UnixConnect) int {
	size := unixSize + len(u.GetPath())
	if u.GetPeer() != nil {
		size += int(unsafe.Sizeof(skepv1.Peer{})) + len(u.GetPeer().GetExe())
	}
	return size
}

func hostBytes(h *skepv1.HostCall) int {
	size := hostSize + len(h.GetSource()) + len(h.GetPath()) + len(h.GetFstype()) + len(h.GetFlags()) + len(h.GetName()) +
		len(h.GetIdsBefore()) + len(h.GetIdsAfter()) + stringSize*len(h.GetNamespaces())
	if h.GetTarget() != nil {
		size += int(unsafe.Sizeof(skepv1.Peer{})) + len(h.GetTarget().GetExe())
	}
	return size
}
