// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

func arm64(ctx context.Context, t *tally) error {
	t.check("build", func() error { return goARM64(ctx, "build") })
	t.check("vet", func() error { return goARM64(ctx, "vet") })
	t.check("objects", func() error { return objectsARM64(ctx) })
	return nil
}

// goARM64 compiles what the packages are made of, whose test needs not do it again.
func goARM64(ctx context.Context, verb string) error {
	c := command(ctx, "go", verb, "-trimpath", "./...")
	c.Env = append(os.Environ(), "GOARCH=arm64")
	_, err := output(c)
	return err
}

// objectsARM64: one little-endian object serves both architectures as long as
// compiling for each gives the same programs, data and maps.
func objectsARM64(ctx context.Context) error {
	if err := need("clang-19"); err != nil {
		return err
	}
	sources, err := filepath.Glob("bpf/*/*.bpf.c")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("find sources: no bpf/*/*.bpf.c here; run in the repository's root")
	}
	var differ []string
	for _, source := range sources {
		same, err := sameForBoth(ctx, source)
		if err != nil {
			return err
		}
		if !same {
			differ = append(differ, source)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("%s: the object depends on the architecture; one for each is needed", strings.Join(differ, ", "))
	}
	return nil
}

func sameForBoth(ctx context.Context, source string) (same bool, err error) {
	err = inTemp(func(dir string) error {
		x86, err := compileFor(ctx, "x86", source, dir)
		if err != nil {
			return err
		}
		arm, err := compileFor(ctx, "arm64", source, dir)
		same = maps.EqualFunc(x86, arm, bytes.Equal)
		return err
	})
	return same, err
}

// compileFor compiles as bpf/gen does, for a named architecture. The kernel's own
// headers are those of this machine: they only give fixed-width types.
func compileFor(ctx context.Context, arch, source, dir string) (map[string][]byte, error) {
	object := filepath.Join(dir, arch+".o")
	args := []string{"clang-19", "-g", "-O2", "-std=gnu2x", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_" + arch,
		"-fms-extensions", "-Wno-microsoft-anon-tag", "-Ibpf/include", "-Ibpf"}
	headers, err := filepath.Glob("/usr/include/*-linux-gnu")
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		args = append(args, "-I"+h)
	}
	if err := do(ctx, append(args, "-c", source, "-o", object)...); err != nil {
		return nil, err
	}
	return loaded(object)
}

// loaded is what the kernel is given: sections that are loaded, and their
// relocations. The BTF is left out, because its types are numbered in another order
// where bpf_tracing.h declares registers; it describes the same types.
func loaded(object string) (map[string][]byte, error) {
	f, err := elf.Open(object)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sections := map[string][]byte{}
	for _, s := range f.Sections {
		target := s
		if s.Type == elf.SHT_REL && int(s.Info) < len(f.Sections) {
			target = f.Sections[s.Info]
		}
		if target.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		if sections[s.Name], err = s.Data(); err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", s.Name, object, err)
		}
	}
	if len(sections) == 0 {
		return nil, fmt.Errorf("read %s: nothing in it is loaded", object)
	}
	return sections, nil
}
