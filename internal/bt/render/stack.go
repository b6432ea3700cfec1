// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"
	"strings"
)

// Form is how a stack is shown.
type Form uint8

// The forms of stacks.
const (
	ByName    Form = iota // name+offset
	AsPerf                // address, name+offset, (module)
	Addresses             // of the frames only
)

// Frame is an address, and what is there.
type Frame struct {
	Address uint64
	// Name of the function, or "" if none is known; Offset in bytes from its beginning.
	Name   string
	Offset uint64
	// Module is the file, "" of the kernel's own.
	Module string
	// User tells that it is of a process.
	User bool
}

func hex(address uint64) string {
	if address == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(address, 16)
}

func (f Frame) name() string {
	if f.Name == "" {
		return hex(f.Address)
	}
	return f.Name + "+" + strconv.FormatUint(f.Offset, 10)
}

// symbol is a name without an offset.
func (v Value) symbol() string {
	if len(v.Frames) == 0 {
		return ""
	}
	if f := v.Frames[0]; f.Name != "" {
		return f.Name
	}
	return hex(v.Frames[0].Address)
}

// stack has a line for each frame, behind an empty one.
func (v Value) stack() string {
	var b strings.Builder
	b.WriteByte('\n')
	for _, f := range v.Frames {
		switch v.Form {
		case Addresses:
			b.WriteString(strconv.FormatUint(f.Address, 16))
		case AsPerf:
			b.WriteString("\t" + strconv.FormatUint(f.Address, 16) + " " + f.name() + f.module())
		default:
			b.WriteString("        " + f.name())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (f Frame) module() string {
	switch {
	case f.Module != "":
		return " (" + f.Module + ")"
	case f.User:
		return " ([unknown])"
	}
	return ""
}
