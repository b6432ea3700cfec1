// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/walk"
)

const headBytes = int(unsafe.Sizeof(abi.FileHead{}))

// Event is a decoded EVENT_FILE.
type Event struct {
	abi.FileHead
	// Paths are what is operated on and the new path of a rename or link. That of a symlink
	// is its text, in Target.
	Paths  [2]Path
	Target string
}

// Path is a path as the kernel side found it.
type Path struct {
	// Text is the path as the process's own root shows it; "" where it is not known.
	Text string
	// Through: a name of several parts led here, and a symlink on the way is not resolved.
	Through bool
	// Truncated: the front is missing.
	Truncated bool
	parent    string // of a name: the directory that it leads to, as far as letters tell
}

// Has tells of a flag of the record.
func (e *Event) Has(flag abi.FileFlag) bool { return abi.FileFlag(e.Flags)&flag != 0 }

// ChangesNames tells of an operation after which a path may lead elsewhere.
func (e *Event) ChangesNames() bool {
	switch abi.FileOperation(e.Operation) {
	case abi.FileOpen:
		return e.Has(abi.FileCreated)
	case abi.FileChmod, abi.FileChown:
		return false
	}
	return e.Error == 0
}

// Decode decodes a record of a ring. Names are what processes chose: nothing in them is
// trusted. Bytes that are not UTF-8 are shown as U+FFFD.
func Decode(raw []byte) (*Event, error) {
	if len(raw) < headBytes {
		return nil, fmt.Errorf("decode file record: %d bytes of %d", len(raw), headBytes)
	}
	e := &Event{}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e.FileHead)), headBytes), raw)
	if abi.EventType(e.Header.Type) != abi.EventFile {
		return nil, fmt.Errorf("decode file record: type %d is not this sensor's", e.Header.Type)
	}
	text := raw[headBytes:]
	var parts [4][]byte
	for i := range parts {
		n := int(e.WalkLength[i/2])
		if i%2 == 1 {
			n = int(e.NameLength[i/2])
		}
		if n > len(text) {
			return nil, fmt.Errorf("decode file record: part %d has %d bytes of %d", i, n, len(text))
		}
		parts[i], text = text[:n], text[n:]
	}
	for i := range e.Paths {
		e.Paths[i] = joinName(parts[2*i], e.WalkFlags[i], cString(parts[2*i+1]))
	}
	if abi.FileOperation(e.Operation) == abi.FileSymlink {
		e.Target, e.Paths[1] = valid(cString(parts[3])), Path{}
	}
	return e, nil
}

// joinName makes a path of a directory, or of a whole path, and a name below it.
func joinName(walked []byte, flags uint16, name string) Path {
	p := Path{Truncated: len(walked) > 0 && flags&walk.Truncated != 0}
	base := walk.Join(walked, flags)
	switch {
	case name == "":
		p.Text = base
		return p
	case name[0] == '/':
		p.Truncated, base = false, ""
	}
	name = valid(name)
	whole := name
	if name[0] != '/' {
		whole = strings.TrimSuffix(base, "/") + "/" + name
	}
	p.Through = strings.Contains(strings.Trim(name, "/"), "/") || name[0] == '/' || name == ".." || name == "."
	p.Text = path.Clean(whole)
	// Not of the cleaned one: what ".." means depends on the symlink before it.
	p.parent = whole[:strings.LastIndexByte(strings.TrimRight(whole, "/"), '/')+1]
	return p
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
