// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"
	"testing"
)

const storageList = `[{"id":"` + hexB + `","names":["zz"],"metadata":"{\"image-name\":\"img:1\",\"name\":\"zz\"}"},
 {"id":"` + hexA + `","names":["k8s_web"],"metadata":"{\"image-name\":\"img:2\",\"metadata-name\":\"web\",\"pod-id\":\"x\",` +
	`\"uid\":\"` + uid + `\",\"namespace\":\"prod\"}"}]`

func TestReadStorage(t *testing.T) {
	m, ok, err := readStorage([]byte(storageList), hexB)
	if err != nil || !ok || m.Name != "zz" || m.Image != "img:1" {
		t.Errorf("podman: %+v, %v, %v", m, ok, err)
	}
	m, ok, err = readStorage([]byte(storageList), hexA)
	if err != nil || !ok || m.Name != "web" || m.Image != "img:2" || m.PodUID != uid || m.Namespace != "prod" {
		t.Errorf("cri-o: %+v, %v, %v", m, ok, err)
	}
	if _, ok, err := readStorage([]byte(storageList), "zz"); ok || err != nil {
		t.Errorf("by name: %v, %v", ok, err)
	}
}

// TestStorageDirectory: what podman keeps on disk is found through the resolver.
func TestStorageDirectory(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "overlay-containers", "containers.json")
	if err := os.Mkdir(filepath.Dir(list), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, []byte(storageList), 0o600); err != nil {
		t.Fatal(err)
	}
	r := NewResolver(ResolverOptions{Sockets: []Socket{{KindStorage, dir}}})
	meta, err := r.ask(t.Context(), ID{Runtime: Podman, ID: hexB, Owner: uint32(os.Getuid())})
	if err != nil || meta.Name != "zz" || meta.Image != "img:1" {
		t.Errorf("%+v, %v", meta, err)
	}
}

func FuzzStorage(f *testing.F) {
	f.Add([]byte(storageList))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok, err := readStorage(data, hexA)
		if ok && err != nil {
			t.Fatalf("%+v with %v", m, err)
		}
		checkBounds(t, m.tidy())
	})
}
