// SPDX-License-Identifier: Apache-2.0

package day

import (
	"fmt"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// writeFile writes a file as careful programs do, under another name first, or removes one.
func (d *Day) writeFile(p *skepv1.Process) {
	path := fmt.Sprintf("/var/lib/app/spool/%02d/job-%d.json", d.random.IntN(64), d.random.IntN(20_000))
	inode := uint64(260_000 + d.random.IntN(40_000))
	file := func(body *skepv1.FileOperation) {
		body.Device, body.Inode, body.Type, body.PathSource = "8:1", inode, "file", "kernel"
		d.Add("file", p, &skepv1.Record{Body: &skepv1.Record_File{File: body}})
		d.pass(200_000)
	}
	switch d.random.IntN(4) {
	case 0:
		file(&skepv1.FileOperation{Operation: "unlink", Path: path})
	case 1:
		file(&skepv1.FileOperation{Operation: "open", Path: "/var/log/app/current.log", Flags: "O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC"})
	default:
		file(&skepv1.FileOperation{Operation: "create", Path: path + ".tmp", Flags: "O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC", Mode: "0600"})
		file(&skepv1.FileOperation{Operation: "rename", Path: path + ".tmp", NewPath: path})
	}
}
