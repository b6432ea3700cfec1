// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Image is a kernel in the cache.
type Image struct {
	// Release is what uname -r prints in the guest.
	Release string
	Vmlinuz string
	// Modules are files in load order.
	Modules []string
}

// CacheDir is SKEP_VM_CACHE, or skep/vm in the user's cache directory. Removing it makes Fetch look for newer packages.
func CacheDir() (string, error) {
	if dir := os.Getenv("SKEP_VM_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w; set SKEP_VM_CACHE", err)
	}
	return filepath.Join(dir, "skep", "vm"), nil
}

// Fetch returns the kernel from the cache, or downloads it first. Several processes may call it at once.
func Fetch(ctx context.Context, k Kernel) (*Image, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", k.Name, err)
	}
	dir := filepath.Join(cache, cacheKey(k))
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", k.Name, err)
	}
	defer unlock()
	if image, err := openImage(dir); err == nil {
		return image, nil
	}
	if err := fill(ctx, k, dir); err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", k.Name, err)
	}
	return openImage(dir)
}

// cacheKey changes with everything that decides what is in the cache entry, so that a new list of modules is fetched.
func cacheKey(k Kernel) string {
	sum := sha256.Sum256([]byte(strings.Join(append(wantedModules(), k.Packages...), " ")))
	return fmt.Sprintf("%s-%x", k.Suite, sum[:4])
}

func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// openImage reads a cache entry. The release file is written last but the entry appears by one rename anyway.
func openImage(dir string) (*Image, error) {
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Glob(filepath.Join(dir, "modules", "*.ko")) // sorted, and the names start with the order
	if err != nil {
		return nil, err
	}
	return &Image{Release: string(release), Vmlinuz: filepath.Join(dir, "vmlinuz"), Modules: modules}, nil
}

// fill downloads and unpacks into a directory beside dir, and renames when it is complete.
func fill(ctx context.Context, k Kernel, dir string) error {
	mirrors, err := findMirrors("/etc/apt")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	debs, err := downloadDebs(ctx, filepath.Join(work, "apt"), k.Suite, k.Packages, mirrors)
	if err != nil {
		return err
	}
	raw := filepath.Join(work, "raw")
	if err := os.Mkdir(raw, 0o755); err != nil {
		return err
	}
	u, err := unpack(ctx, raw, debs)
	if err != nil {
		return err
	}
	entry := filepath.Join(work, "entry")
	if err := u.writeEntry(ctx, entry); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // an entry that openImage could not read
		return err
	}
	return os.Rename(entry, dir)
}

// writeEntry keeps what a guest needs: the image, and the wanted modules, numbered in load order and decompressed.
func (u *unpacked) writeEntry(ctx context.Context, entry string) error {
	order, err := loadOrder(wantedModules(), u.modules, func(file string) ([]string, error) {
		ko, err := readModule(ctx, file)
		if err != nil {
			return nil, err
		}
		return moduleDepends(ko)
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(entry, "modules"), 0o755); err != nil {
		return err
	}
	for i, name := range order {
		ko, err := readModule(ctx, u.modules[name])
		if err != nil {
			return err
		}
		file := filepath.Join(entry, "modules", fmt.Sprintf("%02d-%s.ko", i, name))
		if err := os.WriteFile(file, ko, 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(u.vmlinuz(), filepath.Join(entry, "vmlinuz")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(entry, "release"), []byte(u.release), 0o644)
}
