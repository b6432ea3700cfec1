// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"debug/elf"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// AddProgram puts a program of the host, found in PATH, into files at the same path, with the libraries it links to.
// Plug-ins that it opens while it runs (a name service, Python's modules) are not found this way.
func AddProgram(files map[string]string, name string) error {
	file, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("add program: %w", err)
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("add program: %w", err)
	}
	files[file] = file
	loader, err := interpreter(file)
	if err != nil || loader == "" {
		return err
	}
	files[loader] = loader // ldd may be that of another C library, and name its own
	out, err := exec.Command("ldd", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("add program %s: ldd: %w: %s", file, err, out)
	}
	libraries, err := parseLdd(string(out))
	if err != nil {
		return fmt.Errorf("add program %s: %w", file, err)
	}
	for _, library := range libraries {
		files[library] = library
	}
	return nil
}

// parseLdd takes the absolute paths from lines such as "libc.so.6 => /lib/libc.so.6 (0x7f..)" and "/lib64/ld.so (0x7f..)".
func parseLdd(out string) ([]string, error) {
	var paths []string
	for line := range strings.Lines(out) {
		name, target, linked := strings.Cut(strings.TrimSpace(line), " => ")
		if !linked {
			target = name
		}
		if strings.HasPrefix(target, "not found") {
			return nil, fmt.Errorf("library %s not found", name)
		}
		if path, _, _ := strings.Cut(target, " ("); strings.HasPrefix(path, "/") {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// isStatic tells whether a program needs no dynamic loader.
func isStatic(file string) (bool, error) {
	loader, err := interpreter(file)
	return loader == "", err
}

// interpreter is the path of the dynamic loader that a program asks for, "" if it needs none.
func interpreter(file string) (string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", fmt.Errorf("read program %s: %w", file, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		path, err := io.ReadAll(p.Open())
		if err != nil {
			return "", fmt.Errorf("read program %s: %w", file, err)
		}
		return strings.TrimRight(string(path), "\x00"), nil
	}
	return "", nil
}
