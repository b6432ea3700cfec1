// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// unpacked is what the packages of one kernel hold for us, in dir.
type unpacked struct {
	dir     string
	release string
	// modules maps a module's name to its file, still compressed as in the package.
	modules map[string]string
}

// unpack takes the kernel image and all modules out of debs.
func unpack(ctx context.Context, dir string, debs []string) (*unpacked, error) {
	u := &unpacked{dir: dir, modules: map[string]string{}}
	for _, deb := range debs {
		if err := u.add(ctx, deb); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	if _, err := os.Stat(u.vmlinuz()); err != nil || u.release == "" || len(u.modules) == 0 {
		return nil, fmt.Errorf("unpack %d packages: found image: %t, release %q, %d modules: the suite's packages changed their layout",
			len(debs), err == nil, u.release, len(u.modules))
	}
	return u, nil
}

func (u *unpacked) vmlinuz() string { return filepath.Join(u.dir, "vmlinuz") }

func (u *unpacked) add(ctx context.Context, deb string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	errRead := u.read(tar.NewReader(stdout))
	_, _ = io.Copy(io.Discard, stdout) // the padding after the last entry, else dpkg-deb fails with a broken pipe
	return errors.Join(errRead, cmd.Wait())
}

func (u *unpacked) read(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := u.take(h.Name, r); err != nil {
			return err
		}
	}
}

func (u *unpacked) take(name string, r io.Reader) error {
	base := path.Base(name)
	switch {
	case base == "vmlinuz" || strings.HasPrefix(base, "vmlinuz-"):
		return writeFile(u.vmlinuz(), r)
	case strings.Contains(base, ".ko") && strings.Contains(name, "lib/modules/"):
		_, rest, _ := strings.Cut(name, "lib/modules/")
		u.release, _, _ = strings.Cut(rest, "/")
		file := filepath.Join(u.dir, base)
		u.modules[moduleName(base)] = file
		return writeFile(file, r)
	}
	return nil
}

func writeFile(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
