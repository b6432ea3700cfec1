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
	"regexp"
	"strings"

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
	// maxInstalledLen in bytes is more than any request makes: each byte of one is at most six
	// in JSON ("\u0000"), and server.maxRequestBytes is 1 MiB.
	maxInstalledLen = 8 << 20
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
		script, err := readInstalledFile(filepath.Join(dir, e.Name()), name)
		if err != nil {
			script, err = &skepv1.InstalledTrace{}, fmt.Errorf("%w; remove it (skep trace remove %s) and install the script again", err, name)
		}
		all[name] = installedFile{script, err}
	}
	return all, nil
}

func readInstalledFile(path, name string) (*skepv1.InstalledTrace, error) {
	text, err := durable.ReadOwn(path, maxInstalledLen)
	if err != nil {
		return nil, err
	}
	script, err := parseInstalled(text)
	if err == nil && script.GetStatus().GetName() != name {
		err = fmt.Errorf("it is the file of script %q", script.GetStatus().GetName())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return script, nil
}

// parseInstalled checks the sum: a script that runs as root is not run in part.
func parseInstalled(text []byte) (*skepv1.InstalledTrace, error) {
	sum, body, _ := bytes.Cut(text, []byte("\n"))
	if string(sum) != sumOf(body) {
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
	return durable.Remove(filepath.Join(dir, name+installedSuffix))
}

// leftovers are what an agent has left in the directory that was killed while it installed or
// removed a script: journals of none, and files that were not written to their end.
var leftovers = regexp.MustCompile(`^(?:\..*|(.+)\` + journalSuffix + `(?:\.[0-9]+)?)$`)

func removeLeftovers(dir string, kept map[string]installedFile) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		found := leftovers.FindStringSubmatch(e.Name())
		if found == nil {
			continue
		}
		if _, ok := kept[found[1]]; !ok {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
