// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// measureFiles is promise 6: while every sensor is on and the file sensor watches other paths, opening and closing
// a file costs at most a third more.
func measureFiles(ctx context.Context, b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "a/b/c/d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	watching := b.configured(everything)
	var results []result
	for _, mode := range []struct {
		flags int
		name  string
		limit float64
	}{{unix.O_RDONLY, "for reading", 35}, {unix.O_WRONLY, "for writing", 35}} {
		var ratios []float64
		for range syscallBlocks {
			off, err := b.openBlock(filepath.Join(dir, "file"), mode.flags)
			if err != nil {
				return results, err
			}
			on, err := watching.watchedOpens(ctx, filepath.Join(dir, "file"), mode.flags)
			if err != nil {
				return results, err
			}
			ratios = append(ratios, on/off)
		}
		results = append(results, result{
			what:  "openat " + mode.name + " and close of a path that is not watched, with all senses on, over without an agent",
			value: (median(ratios) - 1) * 100, unit: "%", limit: mode.limit, note: fmt.Sprintf("median of %d pairs", syscallBlocks),
		})
	}
	return results, nil
}

func (b *bench) openBlock(path string, flags int) (ns float64, err error) {
	err = b.runWorkload(&ns, "open", path, strconv.Itoa(flags), strconv.Itoa(400_000/b.scale))
	return ns, err
}

func (b *bench) watchedOpens(ctx context.Context, path string, flags int) (ns float64, err error) {
	a, err := b.startAgent(ctx, "--private")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	time.Sleep(300 * time.Millisecond)
	return b.openBlock(path, flags)
}

// openWorkload returns the CPU nanoseconds of one openat and close.
func openWorkload(path, flags, count string) (float64, error) {
	runtime.LockOSThread()
	n, err := strconv.Atoi(count)
	if err != nil {
		return 0, err
	}
	access, err := strconv.Atoi(flags)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return 0, err
	}
	before := rusage(unix.RUSAGE_THREAD)
	for range n {
		fd, err := unix.Openat(unix.AT_FDCWD, path, access, 0)
		if err != nil {
			return 0, err
		}
		if err := unix.Close(fd); err != nil {
			return 0, err
		}
	}
	return float64((rusage(unix.RUSAGE_THREAD) - before).Nanoseconds()) / float64(n), nil
}
