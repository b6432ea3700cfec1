// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Image is the name of the image that BuildImage makes.
const Image = "skep.test/probe:1"

// ImageLabel is a label in the image's configuration.
const ImageLabel = "test.skep.image"

// BuildImage writes an image of one file, /probe, into dir as a tar archive
// that is an OCI image layout and a "docker save" archive at once.
func BuildImage(t testing.TB, dir, probe string) string {
	t.Helper()
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	a := newArchive()
	layer := a.blob(layerTar(program))
	config := a.blob(encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/probe"}, "Cmd": []string{"sleep", "86400"}, "Env": []string{"PATH=/"}, "Labels": map[string]string{ImageLabel: "yes"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	}))
	layer.Type, config.Type = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.config.v1+json"
	manifest := a.blob(encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []descriptor{layer},
	}))
	manifest.Type = "application/vnd.oci.image.manifest.v1+json"
	manifest.Annotations = map[string]string{"io.containerd.image.name": Image, "org.opencontainers.image.ref.name": Image}
	a.file("index.json", encode(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}}))
	a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	a.file("manifest.json", encode([]map[string]any{{
		"Config": config.file(), "RepoTags": []string{Image}, "Layers": []string{layer.file()},
	}}))
	file := filepath.Join(dir, "image.tar")
	if err := os.WriteFile(file, a.close(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

type descriptor struct {
	Type        string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func (d descriptor) file() string { return "blobs/sha256/" + d.Digest[len("sha256:"):] }

// archive is a tar file in memory.
type archive struct {
	buf bytes.Buffer
	tar *tar.Writer
}

func newArchive() *archive {
	a := &archive{}
	a.tar = tar.NewWriter(&a.buf)
	return a
}

// file panics on error: writing to memory has none.
func (a *archive) file(name string, data []byte) {
	must(a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}))
	_, err := a.tar.Write(data)
	must(err)
}

func (a *archive) blob(data []byte) descriptor {
	d := descriptor{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Size: len(data)}
	a.file(d.file(), data)
	return d
}

func (a *archive) close() []byte {
	must(a.tar.Close())
	return a.buf.Bytes()
}

func layerTar(program []byte) []byte {
	a := newArchive()
	a.file("probe", program)
	return a.close()
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	must(err)
	return data
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
