// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"strings"
)

const buf = "github.com/bufbuild/buf/cmd/buf@v1.75.0"

func runBuf(ctx context.Context, args ...string) error {
	return do(ctx, append([]string{"go", "run", buf}, args...)...)
}

func lint(ctx context.Context, t *tally) error {
	t.check("gofmt", func() error { return gofmt(ctx) })
	t.check("vet", func() error { return do(ctx, "go", "vet", "./...") })
	t.check("vet-duckdb", func() error { return vetDuckDB(ctx) })
	for _, dir := range []string{".", duckdb} {
		t.check("tidy "+dir, func() error { return tidy(ctx, dir) })
	}
	t.check("buf-lint", func() error { return runBuf(ctx, "lint") })
	t.check("buf-breaking", func() error { return breaking(ctx) })
	return nil
}

// vetDuckDB needs a C compiler: without cgo the driver of DuckDB has no types to check.
func vetDuckDB(ctx context.Context) error {
	if err := need("gcc", "g++"); err != nil {
		return err
	}
	c := command(ctx, "go", "vet", "./...")
	c.Dir, c.Env = duckdb, append(os.Environ(), "CGO_ENABLED=1")
	_, err := output(c)
	return err
}

// tidy wants go.mod and go.sum to name what the module's packages import, and nothing else.
func tidy(ctx context.Context, dir string) error {
	c := command(ctx, "go", "mod", "tidy", "-diff")
	c.Dir = dir
	if _, err := output(c); err != nil {
		return fmt.Errorf("run go mod tidy in %s: %w", dir, err)
	}
	return nil
}

// breaking compares the public contract with the committed one, which only
// "make proto-baseline" moves, and only forward.
func breaking(ctx context.Context) error {
	err := runBuf(ctx, "breaking", "--against", "proto/baseline.binpb")
	if err != nil {
		return fmt.Errorf("the public contract may only grow: %w", err)
	}
	return nil
}

func gofmt(ctx context.Context) error {
	files, err := tracked(ctx, "*.go")
	if err != nil {
		return err
	}
	var bad []string
	for _, file := range files {
		have, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		want, err := format.Source(have)
		if err != nil {
			return fmt.Errorf("format %s: %w", file, err)
		}
		if !bytes.Equal(have, want) {
			bad = append(bad, file)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("not formatted; run gofmt -w %s", strings.Join(bad, " "))
	}
	return nil
}

// tracked lists the files of the repository that match, and those that are new
// and not ignored.
func tracked(ctx context.Context, pattern string) ([]string, error) {
	text, err := output(command(ctx, "git", "-c", "safe.directory=*",
		"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, file := range strings.Split(strings.TrimSuffix(text, "\x00"), "\x00") {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and git has not been told yet
		}
		files = append(files, file)
	}
	return files, nil
}
