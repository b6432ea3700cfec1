// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// dist is the one file of the release that matches.
func dist(t *testing.T, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(os.Getenv("SKEP_INSTALL_TEST_ROOT"), "dist", pattern))
	if len(found) != 1 {
		t.Fatalf("%s: found %v", pattern, found)
	}
	return found[0]
}

// TestDeb goes through the life of the package, with an agent that was killed in between.
func TestDeb(t *testing.T) {
	needRoot(t)
	before := left(t)
	deb := dist(t, "*.deb")
	info := sh(t, "dpkg-deb -I "+deb)
	for _, want := range []string{"Package: skep", "Version: 0.1.0~test", "Architecture: " + runtime.GOARCH} {
		if !strings.Contains(info, want) {
			t.Errorf("dpkg-deb -I has no %q:\n%s", want, info)
		}
	}
	for line := range strings.Lines(sh(t, "dpkg-deb -c "+deb)) {
		if !strings.Contains(line, "root/root") || !strings.Contains(line, "2023-11-1") {
			t.Errorf("not root's, or not of the commit's time: %s", line)
		}
	}
	sh(t, "dpkg -i "+deb)
	sh(t, "getent group skep skep-operators && getent passwd skep-web")
	if out := sh(t, "dpkg -V skep"); out != "" {
		t.Errorf("changed files: %s", out)
	}
	if out := sh(t, "systemd-analyze verify /usr/lib/systemd/system/skepd.service 2>&1 | grep -e skep || true"); out != "" {
		t.Errorf("systemd does not like the unit: %s", out)
	}
	agent := start(t, "/usr/bin/skepd", "run")
	sh(t, "/usr/bin/skep status")
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()      // killed
	sh(t, "dpkg -i "+deb) // an upgrade keeps the kernel side
	if _, err := os.Stat("/sys/fs/bpf/skep"); err != nil {
		t.Errorf("after an upgrade: %v", err)
	}
	sh(t, "dpkg -r skep")
	if _, err := os.Stat("/sys/fs/bpf/skep"); err == nil {
		t.Error("pins are left")
	}
	wantSame(t, before)
	sh(t, "test -e /etc/skep/skep.yaml && test -e /var/lib/skep/node_id && ! test -e /usr/bin/skepd")
	sh(t, "useradd --no-create-home --gid users skep") // a human of the name of the group
	sh(t, "dpkg -P skep")
	sh(t, "getent passwd skep && userdel skep")
	for _, path := range []string{"/etc/skep", "/var/lib/skep"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left after a purge", path)
		}
	}
	fails(t, "getent group skep skep-operators skep-web")
}

// TestDebServices: the first installation enables and starts the agent, and so does one after
// a removal; an upgrade only starts it anew if it runs.
func TestDebServices(t *testing.T) {
	needRoot(t)
	calls := fakeSystemd(t)
	deb, said := dist(t, "*.deb"), ""
	for i, tt := range []struct {
		do   string
		want bool // that it is enabled
	}{{"dpkg -i " + deb, true}, {"dpkg -i " + deb, false}, {"dpkg -r skep && dpkg -i " + deb, true}} {
		sh(t, tt.do)
		before := said
		said = calls()
		got := strings.TrimPrefix(said, before)
		if strings.Contains(got, "; enable skepd.service; restart skepd.service; ") != tt.want || strings.Contains(got, "; try-restart skepd.service; ") == tt.want {
			t.Errorf("%d: %s: calls: %s", i, tt.do, got)
		}
	}
	sh(t, "dpkg -P skep && ! test -e /run/skep.upgrade")
}

// TestDebPurgeIsCareful: what may not be skep's is not removed.
func TestDebPurgeIsCareful(t *testing.T) {
	needRoot(t)
	sh(t, "dpkg -i "+dist(t, "*.deb")+" && mkdir -p /var/lib/skep && touch /var/lib/skep/thesis && echo 'store: {dir: /srv/store}' > /etc/skep/skep.yaml")
	if out := sh(t, "dpkg -P skep"); !strings.Contains(out, "leave /srv/store (store.dir") || !strings.Contains(out, "leave /var/lib/skep: ") {
		t.Errorf("it says %s", out)
	}
	sh(t, "rm -r /var/lib/skep/thesis /var/lib/skep")
}

func TestTarball(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	sh(t, "tar -xzf "+dist(t, "*.tar.gz")+" -C "+dir+" && cd "+dir+"/skep-* && ./skep install --prefix /opt/skep && /opt/skep/bin/skep version")
	for _, name := range []string{"LICENSE", "README.md", "share/man/man1/skep.1", "share/bash-completion/completions/skep"} {
		if found, _ := filepath.Glob(dir + "/skep-*/" + name); len(found) != 1 {
			t.Errorf("%s is not in it", name)
		}
	}
	sh(t, "/opt/skep/bin/skep uninstall --prefix /opt/skep --purge")
}

// TestRPM looks into the payload, a gzipped cpio archive behind the headers.
func TestRPM(t *testing.T) {
	needRoot(t)
	text, err := os.ReadFile(dist(t, "*.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte{0x1f, 0x8b, 0x08})
	if !bytes.HasPrefix(text, []byte{0xed, 0xab, 0xee, 0xdb}) || at < 0 {
		t.Fatal("not an rpm, or not gzipped")
	}
	z, err := gzip.NewReader(bytes.NewReader(text[at:]))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/usr/bin/skepd\x00", "/usr/bin/skep\x00", "/usr/lib/systemd/system/skepd.service\x00", "/etc/skep/skep.yaml\x00"} {
		if !bytes.Contains(payload, []byte(name)) {
			t.Errorf("%q is not in it", name)
		}
	}
	if !bytes.Contains(text[:at], []byte("skep uninstall --packaged")) {
		t.Error("the header has no script that takes it off")
	}
}

// TestRPMLife installs the package with rpm itself, upgrades it and removes it: the files are as
// they were packed, the configuration is the administrator's, and the services are started,
// started anew if they run, and taken away.
func TestRPMLife(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("needs rpm: apt-get install rpm")
	}
	calls, said := fakeSystemd(t), ""
	// Debian's rpm has to be told that it is meant, and scripts to find the systemctl that is no real
	// one; what the package needs is in no rpm here.
	rpm := func(args, want string) {
		t.Helper()
		sh(t, "rpm --force-debian --define \"_install_script_path $PATH\" "+args)
		before := said
		said = calls()
		if got := strings.TrimPrefix(said, before); !strings.Contains(got, want) {
			t.Errorf("rpm %s: calls: %s, want %s", args, got, want)
		}
	}
	file := dist(t, "*.rpm")
	rpm("--nodeps -i "+file, "; enable skepd.service; restart skepd.service; ")
	if out := sh(t, "rpm -V --nodeps skep"); out != "" {
		t.Errorf("changed files: %s", out)
	}
	sh(t, "getent group skep skep-operators && getent passwd skep-web && /usr/bin/skep version && /usr/bin/skepd --help")
	if out := sh(t, "systemd-analyze verify /usr/lib/systemd/system/skepd.service 2>&1 | grep -e skep || true"); out != "" {
		t.Errorf("systemd does not like the unit: %s", out)
	}
	sh(t, "echo 'cluster: kept' > /etc/skep/skep.yaml")
	rpm("--nodeps -U --force "+file, "; try-restart skepd.service; ")
	if out := sh(t, "cat /etc/skep/skep.yaml"); out != "cluster: kept\n" {
		t.Errorf("an upgrade has changed the configuration: %s", out)
	}
	rpm("-e skep", "disable --now skepd.service; ")
	sh(t, "grep -r kept /etc/skep && ! test -e /usr/bin/skep && ! test -e /usr/bin/skepd && ! test -e /usr/lib/systemd/system/skepd.service && ! test -e /run/skep.upgrade")
	fails(t, "rpm -q skep")
}

// TestRelease makes the release again, for all architectures: the same bytes, the right
// machine, no interpreter.
func TestRelease(t *testing.T) {
	needRoot(t)
	again := t.TempDir()
	sh(t, "echo old > "+again+"/skep-0.0.1-linux-amd64.tar.gz") // is not listed
	if err := pack(again, "amd64,arm64"); err != nil {
		t.Fatal(err)
	}
	sh(t, "cd "+again+" && sha256sum --check SHA256SUMS")
	first, err := os.ReadFile(dist(t, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again + "/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(second), "\n"); n != 6 {
		t.Errorf("%d files, want 6", n)
	}
	for line := range strings.Lines(string(first)) {
		if !strings.Contains(string(second), line) {
			t.Errorf("made twice, it is not the same: %s", line)
		}
	}
	sh(t, "cd "+again+" && test \"$(cat skep-0.0.1-*)\" = old && rm skep-0.0.1-*")
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		sh(t, "cd "+again+" && mkdir "+arch+" && tar -xzf skep-*-linux-"+arch+".tar.gz --strip-components=1 -C "+arch)
		for _, name := range []string{"skep", "skepd"} {
			f, err := elf.Open(filepath.Join(again, arch, name))
			if err != nil {
				t.Fatal(err)
			}
			if f.Machine != machine || f.Section(".interp") != nil {
				t.Errorf("%s for %s: machine %v, static: %v", name, arch, f.Machine, f.Section(".interp") == nil)
			}
			f.Close()
		}
	}
}
