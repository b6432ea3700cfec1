// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// debian is what the tests need: a program or a file, and the Debian package it is in.
var debian = []struct{ provides, name string }{
	{"git", "git"},
	{"clang-19", "clang-19"},
	{"llvm-strip-19", "llvm-19"},
	{"/usr/include/bpf/bpf_helpers.h", "libbpf-dev"},
	{"/usr/include/linux/bpf.h", "linux-libc-dev"},
	{"gcc", "gcc"},
	{"g++", "g++"},
	{"/usr/include/stdlib.h", "libc6-dev"},
	{"qemu-system-x86_64", "qemu-system-x86"},
	{"busybox", "busybox-static"},
	{"xz", "xz-utils"},
	{"containerd", "containerd"},
	{"runc", "runc"},
	{"podman", "podman"},
	{"crun", "crun"},
	{"dockerd", "docker.io"},
	{"curl", "curl"},
	{"python3", "python3"},
	{"openssl", "openssl"},
	{"nginx", "nginx-light"},
	{"ip", "iproute2"},
	{"iptables", "iptables"},
	{"mount", "mount"},
	{"tcpdump", "tcpdump"},
	{"bpftool", "bpftool"},
	{"promtool", "prometheus"},
	{"chromium", "chromium"},
	{"node", "nodejs"},
	{"npm", "npm"},
	{"jq", "jq"},
	{"ps", "procps"},
	{"nc", "netcat-openbsd"},
	{"dnsmasq", "dnsmasq-base"},
	{"dig", "bind9-dnsutils"},
	{"tshark", "tshark"},
	{"setcap", "libcap2-bin"},
	{"ssh", "openssh-client"},
	{"ssh-keygen", "openssh-client"},
	{"/usr/sbin/sshd", "openssh-server"},
	{"su", "util-linux"},
	{"nsenter", "util-linux"},
	{"systemd-analyze", "systemd"},
	{"rpm", "rpm"},
}

// installPackages makes sure of them. Without root, tests that miss one are skipped.
func installPackages(ctx context.Context, t *tally) error {
	t.check("debian", func() error {
		wanted := absent()
		switch {
		case len(wanted) == 0:
			return nil
		case os.Geteuid() != 0:
			return skipf("needs root to install %s: what uses them, or needs root itself, will be skipped", strings.Join(wanted, " "))
		case need("apt-get") != nil:
			return skipf("needs apt-get to install %s: what uses them will be skipped", strings.Join(wanted, " "))
		}
		problem := quietly(func() error { return aptInstall(ctx, wanted) })
		if left := absent(); len(left) > 0 {
			return skipf("needs %s: not installed: %v", strings.Join(left, " "), problem)
		}
		return nil
	})
	return nil
}

func absent() []string {
	var names []string
	for _, d := range debian {
		_, err := os.Stat(d.provides)
		if !strings.HasPrefix(d.provides, "/") {
			_, err = exec.LookPath(d.provides)
		}
		if err != nil {
			names = append(names, d.name)
		}
	}
	return names
}

// aptInstall falls back to one at a time, because one unknown name refuses all.
func aptInstall(ctx context.Context, names []string) error {
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	install := []string{"install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"}
	if apt(ctx, slices.Concat(install, names)...) == nil {
		return nil
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, apt(ctx, slices.Concat(install, []string{name})...))
	}
	return errors.Join(errs...)
}

func apt(ctx context.Context, args ...string) error {
	c := command(ctx, append([]string{"apt-get", "--quiet"}, args...)...)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	_, err := output(c)
	return err
}

// policy tells Debian's packages not to start what they install: the tests start
// their own nginx, containerd and so on, and a developer wants none.
// See https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
const policy = "/usr/sbin/policy-rc.d"

// quietly leaves a policy that is there alone.
func quietly(f func() error) error {
	file, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return f()
	}
	if err != nil {
		return fmt.Errorf("keep services from starting: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	err = errors.Join(err, file.Close())
	if err == nil {
		err = f()
	}
	return errors.Join(err, os.Remove(policy))
}
