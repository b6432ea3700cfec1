// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"debug/elf"
	"io"
	"strings"
)

// elfInterpreter returns the dynamic loader that a program asks for; empty if it is static.
func elfInterpreter(r io.ReaderAt) (string, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "", err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(name), "\x00"), err
		}
	}
	return "", nil
}
