// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/sensor/files"
	"github.com/skep-io/skep/internal/server"
)

// checkConfiguration has a check for each fault of the file.
func checkConfiguration(path string, err error) []*skepv1.Check {
	if err == nil {
		c := &skepv1.Check{Name: "configuration", Result: "ok", Detail: path}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			c.Detail = "the defaults: there is no " + path
		}
		return []*skepv1.Check{c}
	}
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	var checks []*skepv1.Check
	for _, fault := range faults {
		checks = append(checks, &skepv1.Check{Name: "configuration", Result: "fail", Detail: fault.Error()})
	}
	checks[len(checks)-1].Advice = "correct it; `skep config check " + path + "` looks at it again. The rest of this report is of the defaults"
	return checks
}

// checkPlaces looks at the directories that the agent writes to.
func checkPlaces(cfg config.Config) []*skepv1.Check {
	checks := []*skepv1.Check{checkData(cfg)}
	if cfg.Audit.Path != "" {
		checks = append(checks, place("audit log", cfg.Audit.Path, tryDirectory(filepath.Dir(cfg.Audit.Path)), "set audit.path in skep.yaml to a writable place"))
	}
	if cfg.Store.Enabled {
		checks = append(checks, checkStore(cfg))
	}
	if len(cfg.Sensors.Files.Paths) > 0 {
		checks = append(checks, checkWatched(cfg.Sensors.Files.Paths))
	}
	return checks
}

// checkWatched names watched paths that are not there.
func checkWatched(paths []string) *skepv1.Check {
	host, err := files.ReadMounts()
	if err != nil {
		return verdict("watched paths", "", err)
	}
	defer host.Close()
	c := &skepv1.Check{Name: "watched paths", Result: "ok", Detail: strings.Join(paths, ", ")}
	if missing := files.NewPlan(paths, host).Missing; len(missing) > 0 {
		c.Result, c.Detail = "warn", "not there: "+strings.Join(missing, ", ")
		c.Advice = "once they are made they are watched; if they should be there, correct sensors.files.paths in skep.yaml"
	}
	return c
}

func place(name, path string, err error, advice string) *skepv1.Check {
	if err != nil {
		return &skepv1.Check{Name: name, Result: "fail", Detail: fmt.Sprintf("%s: %v", path, err), Advice: advice}
	}
	return &skepv1.Check{Name: name, Result: "ok", Detail: path}
}

// checkData tries what the agent does in its data directory when it starts.
func checkData(cfg config.Config) *skepv1.Check {
	err := tryDirectory(cfg.DataDir)
	c := place("data directory", cfg.DataDir, err, "make room there, or set data_dir in skep.yaml to a writable place")
	if isFull(err) && startedBefore(cfg) {
		c.Result, c.Detail = "warn", c.Detail+": the agent starts, but keeps no audit log and no disk log"
		return c
	}
	if err == nil {
		if _, err = readNodeID(cfg.DataDir); err == nil {
			err = server.CheckTokenKey(tokenKeyPath(cfg))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return verdict(c.Name, "", err)
		}
	}
	return c
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// startedBefore tells whether all files are there that an agent cannot start without.
func startedBefore(cfg config.Config) bool {
	for _, path := range []string{nodeIDPath(cfg.DataDir), tokenKeyPath(cfg), auditPath(cfg)} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

// checkStore looks at the disk log, without which the agent runs too.
func checkStore(cfg config.Config) *skepv1.Check {
	dir := storeDir(cfg)
	c := place("disk log", dir, tryDirectory(dir), "make room there, set store.dir in skep.yaml to a writable place, or store.enabled to false")
	if c.Result == "fail" {
		c.Result, c.Detail = "warn", c.Detail+": what happens is not kept"
		return c
	}
	free, err := freeBytes(dir)
	if err != nil {
		c.Result, c.Detail = "warn", c.Detail+": "+err.Error()
		return c
	}
	c.Detail += fmt.Sprintf(", %v free", free&^(1<<20-1))
	if limit := cfg.Store.MaxBytes; limit > 0 && free+usedBytes(dir) < limit {
		c.Result = "warn"
		c.Detail += fmt.Sprintf(": it may grow to %v, and what the disk does not take is lost", limit)
		c.Advice = "make room there, or set store.max_bytes in skep.yaml to what is there"
	}
	return c
}

// checkSocket looks whether an agent could listen.
func checkSocket(path string) *skepv1.Check {
	const advice = "set socket in skep.yaml to another path"
	err := server.CheckSocket(path)
	if errors.Is(err, server.ErrTaken) {
		c := verdict("socket", "", err)
		c.Result = "warn"
		c.Advice = "if that is an agent, `skep --socket " + path + " doctor` asks it; another cannot start there"
		return c
	}
	if err == nil {
		err = tryDirectory(filepath.Dir(path))
	}
	return place("socket", path, err, advice)
}

// tryDirectory makes a file with something in it in a directory, or where that would be
// made, and takes it away. A file says more than a mode: the disk may be full or read-only.
func tryDirectory(dir string) error {
	there := dir
	for {
		if _, err := os.Lstat(there); !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	f, err := os.CreateTemp(there, ".skep-doctor-")
	if err == nil {
		_, err = f.Write(make([]byte, 4096))
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	var named *fs.PathError
	if errors.As(err, &named) {
		return fmt.Errorf("a file cannot be made in %s: %w", there, named.Err)
	}
	return err
}

// freeBytes is what a user's file may take on the file system of dir, or of where it would be.
func freeBytes(dir string) (config.Size, error) {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(dir, &stat)
		if err == nil {
			return config.Size(int64(stat.Bavail) * stat.Bsize), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return 0, fmt.Errorf("free space is not known: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}

// usedBytes is what the files of a directory take.
func usedBytes(dir string) (n config.Size) {
	entries, _ := os.ReadDir(dir) // not there yet, or checked before
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += config.Size(info.Size())
		}
	}
	return n
}
