// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manDate is fixed, so that the same sources make the same pages.
var manDate = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func (a *app) manCmd() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages",
		Long:   "Write a manual page for each command into a directory, which is made if needed.\n\nExit status as in \"skep --help\".",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write the manual: %w", err)
			}
			if markdown {
				return writeMarkdown(cmd.Root(), args[0])
			}
			return writeMan(cmd.Root(), args[0])
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "as Markdown, for docs/cli")
	return cmd
}

// prepare makes the pages independent of where they are generated.
func prepare(root *cobra.Command) {
	root.DisableAutoGenTag = true
	socket := root.PersistentFlags().Lookup("socket")
	socket.DefValue = "/run/skep/skep.sock"
	root.InitDefaultHelpCmd()
}

func writeMan(root *cobra.Command, dir string) error {
	prepare(root)
	header := &doc.GenManHeader{Section: "1", Source: "skep", Manual: "skep manual", Date: &manDate}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the manual: %w", err)
	}
	return nil
}

const markdownHead = "<!-- SPDX-License-Identifier: Apache-2.0 -->\n<!-- Written by: skep man --markdown docs/cli -->\n\n"

func writeMarkdown(root *cobra.Command, dir string) error {
	prepare(root)
	head := func(string) string { return markdownHead }
	link := func(name string) string { return filepath.Base(name) }
	if err := doc.GenMarkdownTreeCustom(root, dir, head, link); err != nil {
		return fmt.Errorf("write the manual: %w", err)
	}
	return nil
}
