// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/durable"
	"github.com/skep-io/skep/internal/server"
)

// The file of an installed script: a line with the SHA-256 of what follows, then a message
// InstalledTrace as JSON.
const (
	installedSuffix = ".script"
	journalSuffix   = ".log"
	maxInstalledLen = 4 << 20 // bytes, more than any request makes
)

func installedDir(cfg config.Config) string { return filepath.Join(cfg.DataDir, "scripts") }

func journalPath(dir, name string) string { return filepath.Join(dir, name+journalSuffix) }

// installedFile is what was found of a script.
type installedFile struct {
	script *skepv1.InstalledTrace // never nil
	err    error                  // why it cannot be run
}

// readInstalled reads the directory, which need not be there.
func readInstalled(dir string) (map[string]installedFile, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]installedFile{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), installedSuffix)
		if !ok || !server.InstalledName(name) {
			continue
		}
		script, err := readInstalledFile(filepath.Join(dir, e.Name()))
		if err == nil && script.GetStatus().GetName() != name {
			err = fmt.Errorf("it is the file of script %q", script.GetStatus().GetName())
		}
		if err != nil {
			script, err = &skepv1.InstalledTrace{}, fmt.Errorf("read %s: %w; remove it and install the script again", e.Name(), err)
		}
		all[name] = installedFile{script, err}
	}
	return all, nil
}

func readInstalledFile(path string) (*skepv1.InstalledTrace, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return nil, errors.New("another user could have written it: it is not the agent's own file of mode 0600")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxInstalledLen+1))
	if err != nil {
		return nil, err
	}
	return parseInstalled(text)
}

// parseInstalled checks the sum: a script that runs as root is not run in part.
func parseInstalled(text []byte) (*skepv1.InstalledTrace, error) {
	sum, body, _ := bytes.Cut(text, []byte("\n"))
	if len(text) > maxInstalledLen || string(sum) != sumOf(body) {
		return nil, errors.New("its checksum is wrong: it is damaged, or was changed by hand")
	}
	script := &skepv1.InstalledTrace{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, script); err != nil {
		return nil, err
	}
	if script.GetTrace() == nil {
		return nil, errors.New("there is no script in it")
	}
	return script, nil
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func writeInstalled(dir, name string, script *skepv1.InstalledTrace) error {
	kept := proto.CloneOf(script)
	kept.Status = &skepv1.TraceStatus{Name: name}
	body, err := protojson.Marshal(kept)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.WriteWhole(filepath.Join(dir, name+installedSuffix), 0o600, io.MultiReader(strings.NewReader(sumOf(body)+"\n"), bytes.NewReader(body)))
}

func removeInstalled(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name+installedSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
