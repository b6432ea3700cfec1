// SPDX-License-Identifier: Apache-2.0

// Command manual writes the manual of skep, a page for each of its commands, into a directory:
// pages for man(1), or with -markdown those of docs/cli.
//
//	go run ./packaging/manual [-markdown] DIR
//
// It is no part of skep, which would pay with each call for what writes pages.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/skep-io/skep/internal/cli"
)

func main() {
	markdown := flag.Bool("markdown", false, "write Markdown, for docs/cli")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: manual [-markdown] DIR")
		os.Exit(2)
	}
	write := writePages
	if *markdown {
		write = writeMarkdown
	}
	if err := write(cli.Commands(), flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "write the manual:", err)
		os.Exit(1)
	}
}

const markdownHead = "<!-- SPDX-License-Identifier: Apache-2.0 -->\n<!-- Written by: go run ./packaging/manual -markdown docs/cli -->\n\n"

func writeMarkdown(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return doc.GenMarkdownTreeCustom(root, dir, func(string) string { return markdownHead }, func(link string) string { return link })
}

// writePages writes the pages for man(1). Their date is SOURCE_DATE_EPOCH, where that is set.
func writePages(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	literal(root)
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "skep", Manual: "skep manual"}, dir)
}

// literal keeps what commands say of themselves, which the pages are made of as if it were
// Markdown, from being taken for that.
func literal(c *cobra.Command) {
	c.Short, c.Long = escaped.Replace(c.Short), paragraphs(c.Long)
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { f.Usage = escaped.Replace(strings.ReplaceAll(f.Usage, "`", "")) })
	for _, sub := range c.Commands() {
		literal(sub)
	}
}

var escaped = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "#", `\#`)

// paragraphs keeps the lines of what is laid out by indentation, and lets the others be filled.
func paragraphs(text string) string {
	var out []string
	for _, paragraph := range strings.Split(text, "\n\n") {
		if strings.ContainsAny(paragraph[:min(1, len(paragraph))], " \t") || strings.Contains(paragraph, "\n ") {
			paragraph = "```\n" + strings.TrimSuffix(paragraph, "\n") + "\n```"
		} else {
			paragraph = escaped.Replace(paragraph)
		}
		out = append(out, paragraph)
	}
	return strings.Join(out, "\n\n")
}
