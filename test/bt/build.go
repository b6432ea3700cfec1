// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// findPrograms is buildPrograms, but that it takes what buildPrograms made in another folder,
// if one is given.
func findPrograms(tests, built, dir string) (missing []string, err error) {
	if built == "" {
		return buildPrograms(tests, dir)
	}
	for link, target := range map[string]string{"runtime": tests, "testprogs": built, "testlibs": built} {
		if err := os.Symlink(filepath.Join(target, link), filepath.Join(dir, link)); err != nil {
			return nil, fmt.Errorf("prepare folder: %w", err)
		}
	}
	return nil, nil
}

// buildPrograms makes a folder as the suite expects it to run in: its files as they are, and
// its test programs and libraries built with the compilers that are here. It returns what
// could not be built: cases that need it will say so themselves.
func buildPrograms(tests, dir string) (missing []string, err error) {
	if err := os.Symlink(filepath.Join(tests, "runtime"), filepath.Join(dir, "runtime")); err != nil {
		return nil, fmt.Errorf("prepare folder: %w", err)
	}
	for _, folder := range []string{"testprogs", "testlibs"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, fmt.Errorf("prepare folder: %w", err)
		}
	}
	for _, folder := range []string{"testlibs", "testprogs"} { // the libraries first: programs link them
		files, err := os.ReadDir(filepath.Join(tests, folder))
		if err != nil {
			return nil, fmt.Errorf("build test programs: %w", err)
		}
		for _, f := range files {
			source := filepath.Join(tests, folder, f.Name())
			for _, words := range buildCommands(source, folder, dir) {
				cmd := exec.Command(words[0], words[1:]...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					missing = append(missing, fmt.Sprintf("%s: %v: %s", f.Name(), err, firstLine(string(out))))
				}
			}
		}
	}
	return missing, nil
}

// buildCommands are how a source is built, none if it is no source. The flags are those of the suite's own
// build: symbols, frame pointers and fixed addresses are what its cases look at. Of C programs there are
// variants without fixed addresses, whose names end in -pie.
func buildCommands(source, folder, dir string) [][]string {
	ext := filepath.Ext(source)
	name := strings.TrimSuffix(filepath.Base(source), ext)
	target := filepath.Join(dir, folder, name)
	compiler := ""
	switch ext {
	case ".c":
		compiler = "gcc"
	case ".cpp":
		compiler = "g++"
	case ".go":
		return [][]string{{"go", "build", "-o", target, source}}
	case ".rs":
		return [][]string{{"rustc", "-C", "symbol_mangling_version=v0", "-o", target, source}}
	default:
		return nil
	}
	tests := filepath.Dir(filepath.Dir(source))
	words := []string{compiler, "-g", "-O0", "-w", "-I", filepath.Join(tests, "include")}
	if exec.Command("gcc", "-E", "-include", "sys/sdt.h", "-x", "c", os.DevNull).Run() == nil { // systemtap-sdt-dev
		words = append(words, "-DHAVE_SYSTEMTAP_SYS_SDT_H")
	}
	if folder == "testlibs" {
		return [][]string{append(words, "-fPIC", "-shared", "-o", filepath.Join(dir, folder, "lib"+name+".so"), source)}
	}
	words = append(words, "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", source)
	if name == "usdt_lib" {
		libs := filepath.Join(dir, "testlibs")
		words = append(words, "-I", filepath.Join(tests, "testlibs"), "-L", libs, "-lusdt_tp", "-Wl,-rpath,"+libs)
	}
	return [][]string{
		append(slices.Clone(words), "-no-pie", "-o", target),
		append(slices.Clone(words), "-fpie", "-pie", "-o", target+"-pie"),
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
