// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxStorage bounds a list of containers; one takes about 600 bytes.
const maxStorage = 16 << 20

// storageSource reads the list that podman and CRI-O keep on disk
// (containers/storage): podman mostly runs without a service to ask. It has no
// labels.
func storageSource(root string) source {
	lookup := func(_ context.Context, id ID) (Meta, error) {
		// volatile-containers.json has those of "podman run --rm".
		files, _ := filepath.Glob(filepath.Join(root, "*-containers", "*containers.json"))
		for _, f := range files {
			data, err := readBounded(f, maxStorage)
			if err != nil {
				return Meta{}, err
			}
			if meta, ok, err := readStorage(data, id.ID); ok || err != nil {
				return meta, err
			}
		}
		return Meta{}, errNotFound
	}
	return source{root, is(Podman, CRIO), lookup}
}

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("read %s: longer than %d bytes", file, limit)
	}
	return data, err
}

// readStorage finds a container in containers.json. Its metadata is JSON in a
// string; CRI-O's names the pod.
func readStorage(data []byte, id string) (m Meta, ok bool, err error) {
	var list []struct {
		ID       string   `json:"id"`
		Names    []string `json:"names"`
		Metadata string   `json:"metadata"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return Meta{}, false, fmt.Errorf("parse list of containers: %w", err)
	}
	for _, c := range list {
		if c.ID != id {
			continue
		}
		var meta struct {
			Image     string `json:"image-name"`
			Name      string `json:"name"`
			Container string `json:"metadata-name"`
			Pod       string `json:"pod-name"`
			UID       string `json:"uid"`
			Namespace string `json:"namespace"`
		}
		if err := json.Unmarshal([]byte(c.Metadata), &meta); err != nil {
			return Meta{}, false, fmt.Errorf("parse metadata of container: %w", err)
		}
		m := Meta{Name: cmp.Or(meta.Container, meta.Name), Image: meta.Image, Namespace: meta.Namespace, PodUID: meta.UID}
		if len(c.Names) > 0 {
			fill(&m.Name, c.Names[0])
		}
		return m, true, nil
	}
	return Meta{}, false, nil
}
