// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) manCmd() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages",
		Long:   "Write a manual page for each command into a directory, which is made if needed.\n\nExit status as in \"skep --help\".",
		Hidden: true,
		Args:   takes(1, 1, "the directory to write to"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write the manual: %w", err)
			}
			root := a.root(nil)
			if markdown {
				return writeMarkdown(root, args[0])
			}
			return writeMan(root, args[0])
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "as Markdown, for docs/cli")
	return cmd
}

// prepare makes the pages independent of where they are generated.
func prepare(root *cobra.Command) {
	socket := root.PersistentFlags().Lookup("socket")
	socket.DefValue = "/run/skep/skep.sock"
	root.InitDefaultHelpCmd()
}

// writePages writes a page for a command and all below it, named by its words.
func writePages(c *cobra.Command, dir, separator, extension string, page func(*cobra.Command) string) error {
	for _, sub := range documented(c) {
		if err := writePages(sub, dir, separator, extension, page); err != nil {
			return err
		}
	}
	c.InitDefaultHelpFlag()
	name := strings.ReplaceAll(c.CommandPath(), " ", separator) + extension
	if err := os.WriteFile(filepath.Join(dir, name), []byte(page(c)), 0o644); err != nil {
		return fmt.Errorf("write the manual: %w", err)
	}
	return nil
}

// documented are the commands below one that have pages.
func documented(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand()
	})
}

const markdownHead = "<!-- SPDX-License-Identifier: Apache-2.0 -->\n<!-- Written by: skep man --markdown docs/cli -->\n\n"

func writeMarkdown(root *cobra.Command, dir string) error {
	prepare(root)
	return writePages(root, dir, "_", ".md", markdownPage)
}

func markdownPage(c *cobra.Command) string {
	var b strings.Builder
	block := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s```\n%s```\n\n", title, text)
		}
	}
	fmt.Fprintf(&b, "%s## %s\n\n%s\n\n", markdownHead, c.CommandPath(), c.Short)
	if c.Long != "" {
		fmt.Fprintf(&b, "### Synopsis\n\n%s\n\n", c.Long)
	}
	if c.Runnable() {
		block("", c.UseLine()+"\n")
	}
	if c.Example != "" {
		block("### Examples\n\n", c.Example+"\n")
	}
	block("### Options\n\n", c.NonInheritedFlags().FlagUsages())
	block("### Options inherited from parent commands\n\n", c.InheritedFlags().FlagUsages())
	if related := related(c); len(related) > 0 {
		b.WriteString("### SEE ALSO\n\n")
		for _, other := range related {
			path := other.CommandPath()
			fmt.Fprintf(&b, "* [%s](%s.md)\t - %s\n", path, strings.ReplaceAll(path, " ", "_"), other.Short)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// related are the commands that a page refers to: the one above, and those below.
func related(c *cobra.Command) []*cobra.Command {
	if c.HasParent() {
		return append([]*cobra.Command{c.Parent()}, documented(c)...)
	}
	return documented(c)
}
