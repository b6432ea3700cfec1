// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/install"
)

const installLong = `Install skep on this host: both programs from beside this one into PREFIX/bin,
units for systemd, the configuration (unless there is one), the groups "skep"
and "skep-operators" and the user "skep-web". Then the agent is started, and is
started at each boot before the network and the container runtimes.

Without systemd everything but the service is done, and said.

Installing again is an upgrade: the kernel side goes on meanwhile. If a step
fails, what the steps before it have made is taken back. With a configuration
that has faults nothing is done.

Exit status: 0 if all was done, 1 if not. Others as in "skep --help".`

const uninstallLong = `Take skep off this host: stop and disable the services, remove everything that
is in the kernel (programs, links, maps and pins), the units and the programs.
The configuration, the data (node id, audit log) and the accounts stay, unless
--purge. Files that the configuration has put outside data_dir and /var/log/skep
stay in any case, and are named.

A package is removed with its package manager.

Exit status: 0 if all was done, 1 if not. Others as in "skep --help".`

// installFlags are those of both commands.
type installFlags struct {
	prefix, root  string
	dryRun        bool
	packaged      bool
	upgrade       bool
	web, purgeAll bool
}

func (f *installFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.prefix, "prefix", "/usr/local", "directory with bin/")
	flags.StringVar(&f.root, "root", "/", "directory that stands for /: files only, no accounts, nothing is started or stopped")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would be done")
	flags.BoolVar(&f.packaged, "packaged", false, "files are the package manager's (for its scripts)")
	_ = flags.MarkHidden("packaged") // fails only for a flag that is not there
	_ = cmd.MarkFlagDirname("root")
	_ = cmd.MarkFlagDirname("prefix")
}

func (f *installFlags) options() (install.Options, error) {
	root, err := filepath.Abs(f.root)
	if err != nil {
		return install.Options{}, fmt.Errorf("find --root %s: %w", f.root, err)
	}
	f.root = root
	o := install.Options{Root: f.root, Prefix: f.prefix, Systemd: install.SystemdRuns(), Web: f.web, Upgrade: f.upgrade, Purge: f.purgeAll}
	if !filepath.IsAbs(f.prefix) {
		return o, usage("--prefix %q: must be an absolute path", f.prefix)
	}
	if os.Geteuid() != 0 && filepath.Clean(f.root) == "/" && !f.dryRun {
		return o, fail(exitRefused, "change this host's programs and services: that needs root; run it with sudo")
	}
	if !f.packaged {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the programs: %w", err)
		}
		o.From = filepath.Dir(self)
	}
	return o, nil
}

func (a *app) installCmd() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "Install skep on this host as a service",
		Long:    installLong,
		Example: "  sudo skep install\n  skep install --dry-run\n  skep install --root ./image --prefix /usr",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.install(cmd.Context(), &f) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.web, "web", false, "start the page as a service too, on loopback")
	cmd.Flags().BoolVar(&f.upgrade, "upgrade", false, "leave disabled what is disabled (for a package's scripts)")
	_ = cmd.Flags().MarkHidden("upgrade")
	return cmd
}

// secret: who only looks at what would be done may not read the configuration.
func secret(file string) bool {
	f, err := os.Open(file)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, fs.ErrPermission)
}

func (a *app) install(ctx context.Context, f *installFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	// The agent would not start with a faulty one, and the one that runs now would be gone.
	if there := filepath.Join(f.root, config.DefaultPath); !f.packaged && exists(there) && !(f.dryRun && secret(there)) {
		if err := checkConfig(ctx, there); err != nil {
			return fmt.Errorf("install skep: mend the configuration that is there first: %w", err)
		}
	}
	plan, err := install.Install(o)
	if err != nil {
		return err
	}
	if f.dryRun {
		plan.Describe(a.out)
		return nil
	}
	if err := plan.Run(a.out); err != nil {
		return fmt.Errorf("install skep: %w", err)
	}
	switch {
	case filepath.Clean(f.root) != "/", f.upgrade:
		return nil
	case !o.Systemd:
		return a.print(fmt.Sprintf("\nsystemd does not run here: start the agent with your service manager, or yourself:\n  %s/bin/skepd run\n", f.prefix))
	}
	return a.print("\nThe agent runs. Look with: sudo skep status; members of group skep may look without sudo.\n")
}

func (a *app) uninstallCmd() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Take skep off this host",
		Long:    uninstallLong,
		Example: "  sudo skep uninstall\n  sudo skep uninstall --purge",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.uninstall(&f) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.purgeAll, "purge", false, "remove configuration, data and accounts too")
	return cmd
}

func (a *app) uninstall(f *installFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	if o.Config, err = config.Find("", nil); err != nil {
		fmt.Fprintf(a.err, "skep: %s\nskep: this configuration has faults: what the defaults name is removed\n", message(err))
		o.Config, o.Defaults = config.Default(), true
	}
	plan := install.Uninstall(o)
	if f.dryRun {
		plan.Describe(a.out)
		return nil
	}
	if !f.packaged && !f.purgeAll && !exists(filepath.Join(f.root, f.prefix, "bin", "skepd")) {
		return fail(exitFailed, "find skep in %s: it is not installed there; name its --prefix, or remove its package with the package manager; "+
			"--purge takes away what an earlier uninstall has left",
			filepath.Join(f.root, f.prefix))
	}
	if err := plan.Run(a.out); err != nil {
		return fmt.Errorf("uninstall skep: %w", err)
	}
	if f.packaged || f.purgeAll || filepath.Clean(f.root) != "/" {
		return nil
	}
	return a.print("\nThe configuration, the records in " + o.Config.DataDir + " and the accounts stay: with --purge they would have gone too.\n")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
