// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestSysdump: the archive has what it promises, and of the secrets that are planted in
// configuration, environment, arguments and log none.
func TestSysdump(t *testing.T) {
	secretive(t)
	h := newPrivateHouse(t, `cluster: visible-cluster
redact: {names: [`+planted+`], args: ['`+planted+`-(\d)']}
ship:
  otel:
    otlp: {endpoint: 'http://me:`+planted+`@127.0.0.1:1/', headers: {Authorization: 'Bearer `+planted+`'}, metrics: 1s}
`)
	c := h.command("run")
	c.Env = append(os.Environ(), "SKEP_TEST_TOKEN="+planted)
	a := h.startAs(c)
	within(t, skepdtest.Patience, "the output fails, which is logged", func() error {
		if a.status().Outputs[0].LastError == "" {
			return errors.New("not yet")
		}
		return nil
	})
	secretive(t)
	h.yaml += "redact: {args: ['" + planted + "(']}\n" // twice, and broken: the log tells of the fault
	h.args("run")
	if err := a.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the reload is refused", func() error {
		if len(grep(a.text(), "not reloaded")) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	skep := exec.Command(skepdtest.Build(t, "skep"), "--socket", h.socket, "sysdump", "-o", "-")
	skep.Env = append(os.Environ(), "SKEP_TEST_TOKEN="+planted)
	out, err := skep.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, out)
	for name, want := range map[string]string{
		"versions.txt": "skepd  ", "status.json": `"name":"otel"`, "status.txt": "Outputs", "programs.txt": "at tp_btf/sched_process_exec",
		"doctor.json": `"checks"`, "doctor.txt": "Verdict", "skep.yaml": "visible-cluster", "agent.log": "not reloaded", "build.txt": "mod",
		"kernel-command-line.txt": "",
	} {
		if text, ok := files[name]; !ok || !strings.Contains(text, want) {
			t.Errorf("%s: there %v, without %q", name, ok, want)
		}
	}
	for name, text := range files {
		if strings.Contains(text, planted) {
			t.Errorf("the secret is in %s:\n%s", name, text)
		}
	}
	if !strings.Contains(files["skep.yaml"], "Authorization: \"[redacted]\"") {
		t.Errorf("skep.yaml:\n%s", files["skep.yaml"])
	}
}

func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Base(header.Name)] = string(text)
	}
}
