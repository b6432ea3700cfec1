// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrTooLarge is returned by [ReadOwn] of a file that is larger than asked for.
var ErrTooLarge = errors.New("it is too large")

// ReadOwn reads a file of at most so many bytes that must be the agent's own: of its user, of
// mode 0600 or less, with no other name and no link, so that nobody else can have read it or
// written it. An error says what is wrong with it; it wraps [fs.ErrNotExist] if it is not there.
func ReadOwn(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = ours(info)
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("it has mode %#o: others may have read or written it", info.Mode().Perm())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("read %s: %w: more than %d bytes", path, ErrTooLarge, most)
	}
	return text, err
}

// ours refuses what another user could read or write, or has a name for elsewhere.
func ours(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	stat := info.Sys().(*syscall.Stat_t) // of os.File on Linux, always
	if uid := os.Geteuid(); int(stat.Uid) != uid {
		return fmt.Errorf("it belongs to uid %d, not to the agent (uid %d): remove it or change its owner", stat.Uid, uid)
	}
	if stat.Nlink != 1 {
		return fmt.Errorf("it has %d names (hard links) instead of one: remove it", stat.Nlink)
	}
	return nil
}
