// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/server"
)

// openData makes the data directory and opens what lies in it.
func (a *Agent) openData() error {
	cfg := &a.options.Config
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w; set data_dir in skep.yaml to a writable place", err)
	}
	var err error
	if a.node, err = loadNode(cfg.DataDir, cfg.NodeName); err != nil {
		return err
	}
	if a.audit, err = server.OpenAudit(auditPath(*cfg)); err != nil {
		return fmt.Errorf("open audit log: %w; set audit.path in skep.yaml to a writable place", err)
	}
	return nil
}

func (a *Agent) tokenKey() ([]byte, error) {
	if a.options.Private {
		key := make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand since Go 1.24)
		return key, nil
	}
	return server.LoadTokenKey(tokenKeyPath(a.options.Config))
}

func tokenKeyPath(cfg config.Config) string { return filepath.Join(cfg.DataDir, "token.key") }

func auditPath(cfg config.Config) string {
	if cfg.Audit.Path != "" {
		return cfg.Audit.Path
	}
	return filepath.Join(cfg.DataDir, "audit.log")
}

func storeDir(cfg config.Config) string {
	if cfg.Store.Dir != "" {
		return cfg.Store.Dir
	}
	return filepath.Join(cfg.DataDir, "store")
}

// runtimeSockets tells what each configured path is: one of the usual places, a directory,
// which is a storage, or else a socket whose protocol its name says.
func runtimeSockets(paths []string) []container.Socket {
	sockets := []container.Socket{} // not nil: nil means the defaults
	for _, path := range paths {
		sockets = append(sockets, container.Socket{Kind: socketKind(path), Path: path})
	}
	return sockets
}

func socketKind(path string) container.Kind {
	for _, usual := range container.DefaultSockets { // which may not be there yet
		if usual.Path == path {
			return usual.Kind
		}
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return container.KindStorage
	}
	switch name := filepath.Base(path); {
	case strings.Contains(name, "docker"):
		return container.KindDocker
	case strings.Contains(name, "podman"):
		return container.KindPodman
	case strings.Contains(name, "crio"):
		return container.KindCRI
	}
	return container.KindContainerd
}

// cgroupConstants tells the kernel side which hierarchy names the workloads.
func cgroupConstants(h cgroup.Hierarchy) (map[string]any, error) {
	constants := map[string]any{"cfg_cgroup_subsys": int32(-1), "cfg_cgroup_hierarchy": int32(0)}
	if h.Version == 2 {
		return constants, nil
	}
	index, err := kern.SubsysIndex(h.Subsys)
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read own cgroup: %w", err)
	}
	id, _, ok := h.ProcPath(string(own))
	if !ok {
		return nil, fmt.Errorf("find hierarchy %s in /proc/self/cgroup: it is not there", h)
	}
	constants["cfg_cgroup_subsys"], constants["cfg_cgroup_hierarchy"] = index, int32(id)
	return constants, nil
}
