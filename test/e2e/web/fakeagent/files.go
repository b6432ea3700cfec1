// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// operations are what the cast does to watched files. Names are what processes choose: one
// attacks the screen, and one is as long as there are.
var operations = []*skepv1.FileOperation{
	{Operation: "create", Path: "/etc/.sedkRpqX1", Type: "file", Mode: "0600", Flags: "O_RDWR|O_CREAT|O_EXCL"},
	{Operation: "rename", Path: "/etc/.sedkRpqX1", NewPath: "/etc/hosts", Type: "file"},
	{Operation: "open", Path: "/etc/resolv.conf", Type: "file", Flags: "O_WRONLY|O_TRUNC"},
	{Operation: "create", Path: "/etc/ssl/shop/renewed.pem", Type: "file", Mode: "0640", Flags: "O_WRONLY|O_CREAT"},
	{Operation: "unlink", Path: "/etc/ssl/shop/expired.pem", Type: "file"},
	{Operation: "chmod", Path: "/etc/ssl/shop/renewed.pem", Type: "file", Mode: "0600"},
	{Operation: "chown", Path: "/srv/shop/media", Type: "directory", Owner: "101:101"},
	{Operation: "symlink", Path: "/srv/shop/current", Target: "releases/2026-11-28", Type: "symlink"},
	{Operation: "open", Path: "/etc/shadow", Flags: "O_WRONLY", Error: 13, ErrorName: "EACCES"},
	{Operation: "mkdir", Path: "/srv/shop/media", Mode: "0755", Error: 17, ErrorName: "EEXIST"},
	{Operation: "unlink", Path: "/root/.ssh/authorized_keys2", Error: 2, ErrorName: "ENOENT"},
	{Operation: "create", Path: "/srv/shop/media/<img src=x onerror=alert(1)>\n\x1b[2J\u202egnp.exe", Type: "file", Mode: "0644", Flags: "O_WRONLY|O_CREAT"},
	{Operation: "unlink", Path: "/srv/shop/media" + strings.Repeat("/"+strings.Repeat("n", 203), 20), Type: "file", PathTruncated: true},
}

// touch makes a process do something to a file. Most of it is done.
func (a *Agent) touch() {
	o := operations[a.rng.IntN(len(operations))]
	if a.rng.IntN(3) > 0 {
		o = operations[a.rng.IntN(8)]
	}
	a.operate(a.table[a.rng.IntN(a.cast)], o)
}

func (a *Agent) operate(p *skepv1.ProcessInfo, f *skepv1.FileOperation) {
	o := &skepv1.FileOperation{Operation: f.Operation, Path: f.Path, NewPath: f.NewPath, Target: f.Target, Type: f.Type, Flags: f.Flags, Mode: f.Mode, Owner: f.Owner,
		Error: f.Error, ErrorName: f.ErrorName, PathSource: "kernel", PathTruncated: f.PathTruncated}
	if o.Error == 0 {
		o.Device, o.Inode = "254:1", uint64(1000+len(f.Path)*37)
	}
	a.publish(&skepv1.Record{Kind: "file", Process: p.Process, Body: &skepv1.Record_File{File: o}})
}

// Operate makes a process of the cast do something to a file.
func (a *Agent) Operate(f *skepv1.FileOperation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.operate(a.table[0], f)
}

// ChangeHost makes a process of the cast do something to the host, in a record whose body a
// page does not know yet.
func (a *Agent) ChangeHost() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.publish(&skepv1.Record{Kind: "host", Process: a.table[0].Process})
}

// below tells whether one of the paths is that of a record, or above it.
func below(paths []string, r *skepv1.Record) bool {
	for _, p := range paths {
		for _, of := range []string{r.GetFile().GetPath(), r.GetFile().GetNewPath()} {
			if of == p || strings.HasPrefix(of, strings.TrimSuffix(p, "/")+"/") {
				return true
			}
		}
	}
	return false
}
