// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// change is what is done to a watched file, and what comes of it.
type change struct {
	operation, path, newPath string
	errno                    syscall.Errno
}

// changes are what the page has to show of a directory with a directory "in" below it. Each
// name has the argument in it.
func changes(dir, argument string) []change {
	file, in := filepath.Join(dir, argument), filepath.Join(dir, "in", argument)
	long := dir + strings.Repeat("/"+strings.Repeat("n", 200), 30)
	long = long[:4000] + "/x" + argument // below PATH_MAX, with all that fits into it
	return []change{
		{"create", file + "-tmp", "", 0},
		{"rename", file + "-tmp", file, 0},
		{"mkdir", file, "", syscall.EEXIST},
		{"chmod", file, "", 0},
		{"create", in, "", 0},
		{"unlink", in + "-none", "", syscall.ENOENT},
		{"create", file + "\n<img src=x onerror=alert(1)>\x1b[2J", "", 0},
		{"create", long, "", 0},
	}
}

// do does it. The directories above are there.
func (c change) do() (err error) {
	switch c.operation {
	case "create":
		var f *os.File
		if f, err = os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
		}
	case "rename":
		err = os.Rename(c.path, c.newPath)
	case "mkdir":
		err = os.Mkdir(c.path, 0o755)
	case "chmod":
		err = os.Chmod(c.path, 0o640)
	case "unlink":
		err = unix.Unlink(c.path) // os.Remove tries rmdir as well
	}
	var got syscall.Errno
	if err != nil && !errors.As(err, &got) || got != c.errno {
		return fmt.Errorf("%s %.200s: %v, want %v", c.operation, c.path, err, c.errno)
	}
	return nil
}

// record is how an agent tells of it.
func (c change) record() *skepv1.FileOperation {
	f := &skepv1.FileOperation{Operation: c.operation, Path: c.path, NewPath: c.newPath, Error: uint32(c.errno)}
	if c.errno != 0 {
		f.ErrorName = unix.ErrnoName(c.errno)
	}
	return f
}
