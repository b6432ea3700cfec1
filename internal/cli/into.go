// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// into makes a file, or none, of what write puts out. What is no regular file, such as a device
// or a FIFO, is written to, as the standard output is: a file in its place would be the end of it.
// A link leads to what is written, if who made it may lead the caller there.
func (a *app) into(ctx context.Context, file string, write func() error) error {
	if file == "-" || isStandardOutput(file) {
		return write()
	}
	if err := mayFollow(file, os.Geteuid()); err != nil {
		return err
	}
	switch there, err := os.Stat(file); {
	case err != nil:
	case there.IsDir():
		return fmt.Errorf("write %s: it is a directory; name a file in it", file)
	case !there.Mode().IsRegular():
		return a.onto(ctx, file, write)
	default:
		if file, err = filepath.EvalSymlinks(file); err != nil {
			return fmt.Errorf("write to where the link leads: %w", err)
		}
	}
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(out.Name())
	a.out = out
	err = errors.Join(write(), out.Chmod(0o640), out.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(out.Name(), file); err != nil { // it follows no link that has come there since
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// isStandardOutput: /dev/stdout leads to a file that others may write to as well, as after >>.
func isStandardOutput(file string) bool {
	there, err := os.Stat(file)
	if err != nil || there.IsDir() {
		return false
	}
	out, err := os.Stdout.Stat()
	return err == nil && os.SameFile(there, out)
}

// mayFollow refuses the link of somebody else at the end of a path: who may make links where
// root writes would have root write anywhere.
func mayFollow(file string, euid int) error {
	link, err := os.Lstat(file)
	if err != nil || link.Mode()&os.ModeSymlink == 0 {
		return nil
	}
	if owner := link.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != euid {
		return fmt.Errorf("write %s: it is a link of user %d; name where it leads", file, owner)
	}
	return nil
}

// onto writes to something that is there and has no end. To open a FIFO takes until somebody
// reads it.
func (a *app) onto(ctx context.Context, file string, write func() error) error {
	type opened struct {
		file *os.File
		err  error
	}
	ready := make(chan opened, 1)
	go func() {
		out, err := os.OpenFile(file, os.O_WRONLY, 0)
		ready <- opened{out, err}
	}()
	var out opened
	select {
	case out = <-ready:
	case <-ctx.Done():
		return fmt.Errorf("wait for a reader of %s: %w", file, ctx.Err())
	}
	if out.err != nil {
		return fmt.Errorf("write %s: %w", file, out.err)
	}
	defer out.file.Close()
	switch there, err := out.file.Stat(); {
	case err != nil:
		return fmt.Errorf("write %s: %w", file, err)
	case there.Mode().IsRegular():
		return fmt.Errorf("write %s: it has become another file meanwhile", file)
	}
	a.out = out.file
	return errors.Join(write(), out.file.Close())
}
