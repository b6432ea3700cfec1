// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skep-io/skep/internal/config"
)

func (a *app) configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a skep.yaml, or print the default one",
		Long: `Work with the agent's configuration file, skep.yaml. No agent is needed.

Exit status: 0, or 1 when the file has a fault; usage errors 2.`,
		Example: "  skep config check /etc/skep/skep.yaml\n  skep config print-default > skep.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.configCheckCmd(), a.configDefaultCmd())
	return cmd
}

func (a *app) configCheckCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file",
		Long: `Check a configuration file (default ` + config.DefaultPath + `, if it is there) as skepd
would: it is skepd that does it, beside skep or in PATH. Every fault is named with
its file, line and column.

Exit status: 0 if skepd would take it, 1 if not.`,
		Example:           "  skep config check skep.yaml",
		Args:              takes(0, 1, ""),
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := config.DefaultPath
			if len(args) == 1 {
				path = args[0]
			} else if !exists(path) {
				return a.print("there is no " + path + ": the defaults are in force\n")
			}
			if err := checkConfig(cmd.Context(), path); err != nil {
				return err
			}
			return a.print(fmt.Sprintf("%s: ok\n", path))
		},
	}
}

// checkConfig lets skepd look at a file. What it says of it is the error.
func checkConfig(ctx context.Context, path string) error {
	skepd, err := sibling("skepd")
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, skepd, "check", "--", path)
	cmd.Stderr = &said
	err = cmd.Run()
	if faults, ok := strings.CutPrefix(said.String(), "skepd: "); err != nil && ok {
		return errors.New(strings.TrimSpace(faults))
	}
	if err != nil {
		return fmt.Errorf("check %s with %s: %w", path, skepd, err)
	}
	return nil
}

func (a *app) configDefaultCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "print-default",
		Short:   "Print the default configuration with comments",
		Long:    "Print a skep.yaml that means the defaults, with a comment for each key.\n\nExit status: 0.",
		Example: "  skep config print-default > skep.yaml",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.print(config.DefaultYAML) },
	}
}
