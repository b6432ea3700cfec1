// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// webTests also installs what the page's browser test in test/e2e/web needs.
func webTests(ctx context.Context, t *tally) error {
	t.check("install", func() error { return install(ctx, "web") })
	t.check("svelte-check", func() error { return script(ctx, "check") })
	t.check("vitest", func() error { return script(ctx, "test") })
	t.check("install-browser-test", func() error { return install(ctx, "test/e2e/web") })
	return nil
}

func script(ctx context.Context, name string) error {
	if err := needNode(ctx); err != nil {
		return err
	}
	return npm(ctx, "web", "run", name)
}

func npm(ctx context.Context, dir string, args ...string) error {
	c := command(ctx, append([]string{"npm"}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "NO_COLOR=1", "CI=true")
	_, err := output(c)
	return err
}

// install runs npm ci, unless that was done since the lock file changed.
func install(ctx context.Context, dir string) error {
	if err := needNode(ctx); err != nil {
		return err
	}
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	done, err := os.Stat(filepath.Join(dir, "node_modules/.package-lock.json"))
	if err == nil && !done.ModTime().Before(lock.ModTime()) {
		return nil
	}
	return npm(ctx, dir, "ci", "--no-audit", "--no-fund")
}

// needNode wants the oldest Node.js that Vite 8 runs on; Debian 12 has 18.
func needNode(ctx context.Context) error {
	if err := need("node", "npm"); err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return fmt.Errorf("ask node for its version: %w", err)
	}
	version := strings.TrimSpace(string(text))
	var major, minor int
	if _, err := fmt.Sscanf(version, "v%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("ask node for its version: it said %q", version)
	}
	if major < 20 || major == 20 && minor < 19 {
		return skipf("needs Node.js 20.19 or newer for Vite 8: this is %s", version)
	}
	return nil
}
