// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/bpf"
)

// Pins of one ABI lie in <pin root>/<hash>/{maps,links}. These two directories are
// skep's own; whatever else lies in the pin root is somebody else's and stays.
var hashName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// standardBPFFS is where every distribution mounts the BPF filesystem.
const standardBPFFS = "/sys/fs/bpf"

// abiHash names everything that makes two kernel sides different.
func (k *Kernel) abiHash(sensors []Sensor) (string, error) {
	h := sha256.New()
	for _, name := range sortedKeys(k.specs) {
		h.Write(bpf.Object(name))
	}
	rest, err := json.Marshal([]any{k.options, sensors})
	if err != nil {
		return "", fmt.Errorf("hash options: %w", err)
	}
	h.Write(rest)
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

func (k *Kernel) openPins(sensors []Sensor) error {
	if k.options.PinRoot == "" {
		return nil
	}
	root := filepath.Clean(k.options.PinRoot)
	missing, err := CheckPinRoot(root)
	if err != nil {
		return err
	}
	if missing {
		if err := mountBPFFS(); err != nil {
			return err
		}
		k.mounted = true
	}
	hash, err := k.abiHash(sensors)
	if err != nil {
		return err
	}
	k.dir = filepath.Join(root, hash)
	return makeDirs(root, k.dir, filepath.Join(k.dir, "maps"), filepath.Join(k.dir, "links"))
}

// CheckPinRoot checks that the pin root can be made: that its parent is on a BPF
// filesystem. One that is merely missing at the standard place is mounted by [Open];
// anywhere else a mount could hide somebody's files.
func CheckPinRoot(root string) (missing bool, err error) {
	dir := filepath.Dir(filepath.Clean(root))
	if isBPFFS(dir) {
		return false, nil
	}
	if dir != standardBPFFS {
		return false, fmt.Errorf("make pin directory %s: %s is not on a BPF filesystem; mount one (mount -t bpf bpf DIR) and set bpffs in "+
			"skep.yaml to a directory in it, or leave it at the default, %s/skep", root, dir, standardBPFFS)
	}
	return true, nil
}

func mountBPFFS() error {
	if err := unix.Mount("bpf", standardBPFFS, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount BPF filesystem at %s: %w; mount it yourself, or set bpffs in skep.yaml to a directory in one "+
			"that is mounted elsewhere", standardBPFFS, err)
	}
	return nil
}

// unmount takes away the BPF filesystem that this agent has mounted, unless somebody has
// pinned something there since.
func (k *Kernel) unmount() error {
	if !k.mounted {
		return nil
	}
	entries, err := os.ReadDir(standardBPFFS)
	if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(preloaded, e.Name()) }) {
		return nil
	}
	if err := unix.Unmount(standardBPFFS, 0); err != nil {
		return fmt.Errorf("unmount BPF filesystem at %s: %w", standardBPFFS, err)
	}
	k.mounted = false
	return nil
}

// preloaded is what the kernel itself puts into each BPF filesystem (CONFIG_BPF_PRELOAD).
var preloaded = []string{"maps.debug", "progs.debug"}

// isBPFFS reports whether dir is on a BPF filesystem.
func isBPFFS(dir string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(dir, &stat) == nil && stat.Type == unix.BPF_FS_MAGIC
}

func makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make pin directory: %w", err)
		}
	}
	return nil
}

// abiDirs lists the directories of all ABIs below a pin root.
func abiDirs(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() && hashName.MatchString(entry.Name()) {
			dirs = append(dirs, filepath.Join(root, entry.Name()))
		}
	}
	return dirs, nil
}

// removePins takes away the pins of one ABI, links first: so its programs stop before
// their maps go.
func removePins(dir string) error {
	for _, part := range []string{"links", "maps"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			return fmt.Errorf("remove pins: %w", err)
		}
	}
	err := os.Remove(dir)
	if errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("remove pins: %s holds something that is not skep's; it was left there", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
	return nil
}

// RemovePins takes away everything that skep has pinned below a pin root, of every ABI. It
// refuses while an agent runs, which would go on half blind.
func RemovePins(pinRoot string) error {
	if err := Preflight(); err != nil {
		return err
	}
	mark, err := announce() // also keeps an agent from starting meanwhile
	if err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	defer mark.Close()
	root := filepath.Clean(pinRoot)
	if !isBPFFS(root) {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remove pins: %s is not on a BPF filesystem; check bpffs in skep.yaml", root)
	}
	dirs, err := abiDirs(root)
	for _, dir := range dirs {
		err = errors.Join(err, removePins(dir))
	}
	os.Remove(root) // stays if something else is in it
	return err
}
