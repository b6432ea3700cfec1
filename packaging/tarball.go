// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// licences go with every copy.
var licences = []string{"LICENSE", "LICENSES/BSD-2-Clause.txt", "LICENSES/GPL-2.0-only.txt"}

// tarball writes skep-VERSION-linux-ARCH.tar.gz: unpacked, ./skep install does the rest.
func (r *release) tarball(arch, bin string) (err error) {
	top := fmt.Sprintf("skep-%s-linux-%s", r.version, arch)
	f, err := os.Create(filepath.Join(r.out, top+".tar.gz"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	compressed, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	a := &archive{tar.NewWriter(compressed), r}
	errs := []error{a.tree(bin, top)}
	for _, name := range append([]string{"README.md", "CHANGELOG.md"}, licences...) {
		errs = append(errs, a.file(name, path.Join(top, name), 0o644))
	}
	errs = append(errs, a.tree(filepath.Join(r.work, "share"), path.Join(top, "share")))
	return errors.Join(append(errs, a.Close(), compressed.Close())...)
}

// archive writes files without what the machine adds: owners, times, order.
type archive struct {
	*tar.Writer
	release *release
}

// tree adds all files below a directory; WalkDir's order is lexical.
func (a *archive) tree(dir, as string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return a.file(name, path.Join(as, filepath.ToSlash(below)), mode)
	})
}

func (a *archive) file(name, as string, mode int64) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: as, Mode: mode, Size: int64(len(text)), ModTime: a.release.epoch, Format: tar.FormatPAX, Uname: "root", Gname: "root"}
	if err := a.WriteHeader(header); err != nil {
		return err
	}
	_, err = a.Write(text)
	return err
}
