// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/skep-io/skep/internal/durable"
	"github.com/skep-io/skep/internal/identity"
)

// loadNode reads who this node is. The node's UUID is made on the first start and kept
// in the data directory.
func loadNode(dataDir, name string) (identity.Node, error) {
	node := identity.Node{Name: name}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return node, fmt.Errorf("read host name: %w; set node_name in skep.yaml", err)
		}
		node.Name = host
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return node, fmt.Errorf("read boot id: %w", err)
	}
	node.BootID = strings.TrimSpace(string(boot))
	node.ID, err = nodeID(dataDir)
	return node, err
}

func nodeIDPath(dataDir string) string { return filepath.Join(dataDir, "node_id") }

func nodeID(dataDir string) (string, error) {
	id, err := readNodeID(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		id := uuid.NewString()
		if err := durable.WriteWhole(nodeIDPath(dataDir), 0o600, strings.NewReader(id+"\n")); err != nil {
			return "", fmt.Errorf("keep node id: %w; the data directory must be writable and have room", err)
		}
		return id, nil
	}
	return id, err
}

func readNodeID(dataDir string) (string, error) {
	path := nodeIDPath(dataDir)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read node id: %w", err)
	}
	id, err := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("read node id: %s does not hold a UUID (%w); remove it to get a new one", path, err)
	}
	return id.String(), nil
}
