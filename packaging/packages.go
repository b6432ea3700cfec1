// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/skep-io/skep/internal/install"
)

// nfpm makes debs and rpms without the tools of either distribution.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0"

//go:embed nfpm.yaml
var nfpmConfig string

// packages lays the files as "skep install" would, and packs them.
func (r *release) packages(arch, bin string) error {
	tree := filepath.Join(r.work, "tree-"+arch)
	plan, err := install.Install(install.Options{From: bin, Root: tree, Prefix: "/usr"})
	if err != nil {
		return err
	}
	if err := plan.Run(io.Discard); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(tree, "usr/share"), os.DirFS(filepath.Join(r.work, "share"))); err != nil {
		return err
	}
	doc := filepath.Join(tree, "usr/share/doc/skep")
	for _, name := range licences {
		if err := copyFile(name, filepath.Join(doc, filepath.Base(name))); err != nil {
			return err
		}
	}
	if err := r.sameTimes(tree); err != nil {
		return err
	}
	config := filepath.Join(r.work, "nfpm-"+arch+".yaml")
	if err := r.nfpmConfig(config, arch, tree); err != nil {
		return err
	}
	pack := func(format string) func() error {
		return func() error {
			return r.do([]string{"CGO_ENABLED=0"}, "go", "run", nfpm, "package", "--config", config, "--packager", format, "--target", r.out)
		}
	}
	return atOnce(pack("deb"), pack("rpm"))
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
}

// sameTimes gives all files the release's time, which nfpm takes over.
func (r *release) sameTimes(tree string) error {
	return filepath.WalkDir(tree, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, r.epoch, r.epoch)
	})
}

func (r *release) nfpmConfig(path, arch, tree string) error {
	t, err := template.New("nfpm.yaml").Option("missingkey=error").Parse(nfpmConfig)
	if err != nil {
		return fmt.Errorf("read nfpm.yaml: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = t.Execute(f, map[string]string{
		"Version": r.version, "Arch": arch, "Tree": tree, "Time": r.epoch.Format("2006-01-02T15:04:05Z07:00"), "Scripts": "packaging",
	})
	return errors.Join(err, f.Close())
}
