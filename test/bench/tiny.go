// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// machine is the ELF number of an architecture, with the code of the tiny binaries.
type machine struct {
	number      uint16
	exit, sleep []byte
}

var machines = map[string]machine{
	"amd64": {62,
		[]byte{
			0x5f,                         // pop rdi: argc
			0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
			0x0f, 0x05, // syscall
		},
		[]byte{
			0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34 (pause)
			0x0f, 0x05, // syscall
			0xeb, 0xf7, // jmp to the start
		}},
	"arm64": {183,
		[]byte{
			0xe0, 0x03, 0x40, 0xf9, // ldr x0, [sp]: argc
			0xa8, 0x0b, 0x80, 0xd2, // mov x8, 93 (exit)
			0x01, 0x00, 0x00, 0xd4, // svc 0
		},
		[]byte{
			0x00, 0x00, 0x80, 0xd2, // mov x0, 0: ppoll of nothing, for ever
			0x01, 0x00, 0x80, 0xd2, // mov x1, 0
			0x02, 0x00, 0x80, 0xd2, // mov x2, 0
			0x03, 0x00, 0x80, 0xd2, // mov x3, 0
			0x28, 0x09, 0x80, 0xd2, // mov x8, 73 (ppoll)
			0x01, 0x00, 0x00, 0xd4, // svc 0
			0xfa, 0xff, 0xff, 0x17, // b to the start
		}},
}

// tinyBinary writes the smallest static ELF executable that exits with argc: running
// it costs little but fork, exec and exit themselves.
func tinyBinary(dir string) (string, error) {
	return writeELF(filepath.Join(dir, "tiny"), machines[runtime.GOARCH].exit)
}

// sleepBinary writes one that sleeps until it is killed.
func sleepBinary(dir string) (string, error) {
	return writeELF(filepath.Join(dir, "sleep"), machines[runtime.GOARCH].sleep)
}

func writeELF(path string, code []byte) (string, error) {
	if code == nil {
		return "", fmt.Errorf("write tiny binary: no code for %s", runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	le := binary.LittleEndian
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		uint16(2), machines[runtime.GOARCH].number, uint32(1), // ET_EXEC, machine, version
		uint64(base + headers), uint64(64), uint64(0), // entry, program headers, section headers
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // PT_LOAD, readable and executable
		uint64(0), uint64(base), uint64(base),
		uint64(headers + len(code)), uint64(headers + len(code)), uint64(0x1000),
	} {
		if err := binary.Write(&b, le, v); err != nil {
			return "", err
		}
	}
	b.Write(code)
	return path, os.WriteFile(path, b.Bytes(), 0o755)
}
