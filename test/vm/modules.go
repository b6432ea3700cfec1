// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleName turns a file name into the name the kernel uses.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// loadOrder returns the wanted modules and what they depend on, dependencies first. depends is asked for each module
// that has a file. A wanted module without a file is built into the kernel; a dependency without one is an error.
func loadOrder(wanted []string, files map[string]string, depends func(file string) ([]string, error)) ([]string, error) {
	var order []string
	done := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if done[name] {
			return nil
		}
		done[name] = true
		needs, err := depends(files[name])
		if err != nil {
			return fmt.Errorf("order modules: %w", err)
		}
		for _, need := range needs {
			if files[need] == "" {
				return fmt.Errorf("order modules: %s needs %s, which the packages do not have", name, need)
			}
			if err := visit(need); err != nil {
				return err
			}
		}
		order = append(order, name)
		return nil
	}
	for _, name := range wanted {
		if files[name] == "" {
			continue
		}
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleDepends reads the names after "depends=" in the module's .modinfo section. The packages have no modules.dep:
// that one is made at installation.
func moduleDepends(ko []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// readModule returns the module's ELF file, decompressed.
func readModule(ctx context.Context, file string) ([]byte, error) {
	tools := map[string]string{".xz": "xz", ".gz": "gzip", ".zst": "zstd"}
	extension := filepath.Ext(file)
	if extension == ".ko" {
		return os.ReadFile(file)
	}
	tool := tools[extension]
	if tool == "" {
		return nil, fmt.Errorf("read module %s: unknown compression", filepath.Base(file))
	}
	out, err := exec.CommandContext(ctx, tool, "-dc", file).Output()
	if err != nil {
		return nil, fmt.Errorf("read module %s: %s: %w", filepath.Base(file), tool, err)
	}
	return out, nil
}
