// SPDX-License-Identifier: Apache-2.0

// Command gen compiles every bpf/<capability>/*.bpf.c with clang-19 into bpf/obj
// and writes internal/abi from the BTF of the shared structs. With -check it
// changes nothing and fails if a committed file differs from what it would write.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare with the committed files instead of writing them")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run must be started in the repository's root.
func run(check bool) error {
	sources, err := filepath.Glob("bpf/*/*.bpf.c")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("find sources: no bpf/*/*.bpf.c here; run in the repository's root")
	}
	dir, err := workshop()
	if err != nil {
		return fmt.Errorf("copy the sources: %w", err)
	}
	defer os.RemoveAll(dir)
	out := map[string][]byte{}
	for _, source := range sources {
		object, err := compile(dir, source)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(source), ".bpf.c")
		if name == "abi" {
			if out["internal/abi/abi_gen.go"], err = goTypes(object); err != nil {
				return fmt.Errorf("generate internal/abi: %w", err)
			}
			continue
		}
		out["bpf/obj/"+name+".o"] = object
	}
	return settle(out, check)
}

// workshop copies the sources to where they are compiled, a path that always has the same length.
// The order in which clang writes some types depends on where its memory lies, and so on the
// lengths of paths: an object would differ from clone to clone.
func workshop() (dir string, err error) {
	for err = fs.ErrExist; errors.Is(err, fs.ErrExist); {
		dir = fmt.Sprintf("/tmp/skep-gen-%08x", rand.Uint32())
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "bpf"), os.DirFS("bpf")); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// compile returns the stripped object: DWARF goes, BTF stays.
func compile(dir, source string) ([]byte, error) {
	const object = "out.o"
	steps := [][]string{
		{"clang-19", "-g", "-O2", "-std=gnu2x", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror",
			"-Wno-unused-parameter", "-fms-extensions", "-Wno-microsoft-anon-tag", "-fdebug-prefix-map=" + dir + "=.", "-Ibpf/include", "-Ibpf",
			"-I/usr/include/" + multiarch(), "-c", source, "-o", object},
		{"llvm-strip-19", "-g", object},
	}
	for _, argv := range steps {
		c := exec.Command(argv[0], argv[1:]...)
		c.Dir, c.Env = dir, []string{"PATH=/usr/bin:/bin", "PWD=" + dir}
		if text, err := c.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile %s: %s: %w\n%s", source, argv[0], err, text)
		}
	}
	return os.ReadFile(filepath.Join(dir, object))
}

// multiarch is Debian's directory of architecture-dependent headers (asm/types.h).
func multiarch() string {
	text, err := exec.Command("clang-19", "-print-target-triple").Output()
	if err == nil && strings.HasPrefix(string(text), "aarch64") {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

func settle(out map[string][]byte, check bool) error {
	var stale []string
	for path, want := range out {
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if check {
			stale = append(stale, path)
			continue
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("check: %s differ from their sources; run make generate and commit", strings.Join(stale, ", "))
	}
	return nil
}
