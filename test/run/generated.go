// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// generated makes each generated file again, elsewhere, and compares.
func generated(ctx context.Context, t *tally) error {
	t.check("bpf", func() error { return generatedBPF(ctx) })
	t.check("api", func() error { return generatedAPI(ctx, "buf.gen.yaml", "api") })
	t.check("web-api", func() error {
		return errors.Join(install(ctx, "web"), generatedAPI(ctx, "buf.gen.web.yaml", "web/src/api"))
	})
	t.check("web-dist", func() error { return generatedPage(ctx) })
	return nil
}

func generatedBPF(ctx context.Context) error {
	if err := need("clang-19", "llvm-strip-19"); err != nil {
		return err
	}
	return do(ctx, "go", "run", "./bpf/gen", "-check")
}

func generatedAPI(ctx context.Context, template, dir string) error {
	return inTemp(func(temp string) error {
		if err := runBuf(ctx, "generate", "--template", template, "-o", temp); err != nil {
			return err
		}
		return sameTree(dir, filepath.Join(temp, dir))
	})
}

func generatedPage(ctx context.Context) error {
	if err := install(ctx, "web"); err != nil {
		return err
	}
	return inTemp(func(temp string) error {
		if err := npm(ctx, "web", "run", "build", "--", "--outDir", temp, "--emptyOutDir"); err != nil {
			return err
		}
		return sameTree("web/dist", temp)
	})
}

func inTemp(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "skep-test-")
	if err != nil {
		return err
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}

// sameTree compares the committed files with those just made.
func sameTree(committed, made string) error {
	have, err := readTree(committed)
	if err != nil {
		return err
	}
	want, err := readTree(made)
	if err != nil {
		return err
	}
	var wrong []string
	for name := range want {
		if have[name] == nil {
			wrong = append(wrong, name+" is missing")
		} else if !bytes.Equal(have[name], want[name]) {
			wrong = append(wrong, name+" differs")
		}
	}
	for name := range have {
		if want[name] == nil {
			wrong = append(wrong, name+" is left over")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("compare %s with its sources: run make generate and commit: %s", committed, strings.Join(wrong, ", "))
	}
	if len(want) == 0 {
		return fmt.Errorf("compare %s with its sources: nothing was generated", committed)
	}
	return nil
}

func readTree(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		files[name] = append([]byte{}, text...) // never nil, also when empty
		return err
	})
	return files, err
}
