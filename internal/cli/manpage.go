// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manDate is fixed, so that the same sources make the same pages.
const manDate = "Jan 2026"

func writeMan(root *cobra.Command, dir string) error {
	prepare(root)
	return writePages(root, dir, "-", ".1", manPage)
}

// manPage is the page of a command in the macros of man(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	name := pageName(c)
	fmt.Fprintf(&b, ".TH %q 1 %q skep \"skep manual\"\n.nh\n", strings.ToUpper(name), manDate)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n\\fB%s\\fP\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	for _, paragraph := range strings.Split(c.Long, "\n\n") {
		b.WriteString(manParagraph(paragraph))
	}
	manOptions(&b, "OPTIONS", c.NonInheritedFlags())
	manOptions(&b, "OPTIONS INHERITED FROM PARENT COMMANDS", c.InheritedFlags())
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLE\n.nf\n%s.fi\n", roffLines(c.Example))
	}
	var names []string
	for _, other := range related(c) {
		names = append(names, fmt.Sprintf("\\fB%s\\fP(1)", roff(pageName(other))))
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(names, ",\n"))
	}
	return b.String()
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manParagraph fills lines as a page is wide, but for what is laid out by indentation.
func manParagraph(text string) string {
	if strings.HasPrefix(text, " ") || strings.Contains(text, "\n ") {
		return ".PP\n.nf\n" + roffLines(text) + ".fi\n"
	}
	return ".PP\n" + roffLines(text)
}

func manOptions(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(b, "\\fB\\-%s\\fP, ", f.Shorthand)
		}
		value, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, "\\fB%s\\fP", roff("--"+f.Name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fP", roff(value))
		}
		switch f.DefValue {
		case "", "false", "[]", "0", "0s":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		b.WriteString("\n" + roffLines(usage))
	})
}

// roffLines is text in which no line is taken for a macro.
func roffLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = roff(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`)

// roff is text within a line, in which nothing is an escape sequence, and a hyphen what a
// reader can paste into a shell.
func roff(text string) string { return roffEscapes.Replace(text) }
