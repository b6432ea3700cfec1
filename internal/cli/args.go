// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// noArgs refuses arguments. A command that has filters says which of them was probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("comm") != nil {
		flag := "--comm"
		switch {
		case strings.Trim(args[0], "0123456789") == "":
			flag = "--pid"
		case strings.HasPrefix(args[0], "/"):
			flag = "--exe"
		}
		hint = fmt.Sprintf("; flags say what to show, such as %s %s", flag, args[0])
	}
	return usage("%s takes no argument, and was given %q%s", cmd.CommandPath(), args[0], hint)
}

// takes accepts from least to most arguments; what says what the missing one is.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s", cmd.CommandPath(), what)
		case len(args) > most:
			return usage("%s was given one argument too many: %q", cmd.CommandPath(), args[most])
		}
		return nil
	}
}

// helpOf makes "skep help NOTHING" the error that "skep NOTHING" is.
func (a *app) helpOf(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil || help == root {
		return // only root has no commands to help with
	}
	help.Run = nil
	help.RunE = func(_ *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		switch {
		case err != nil:
			return &exitError{exitUsage, err}
		case len(rest) > 0 && cmd == root:
			return &exitError{exitUsage, a.unknownVerb(root, rest)}
		case len(rest) > 0 && cmd.Name() == "tool":
			return unknownTool(rest[0])
		case len(rest) > 0:
			return usage("unknown command %q for %q", rest[0], cmd.CommandPath())
		}
		cmd.InitDefaultHelpFlag()
		return cmd.Help()
	}
}

// completeList completes the last of values that are separated by commas.
func completeList(values []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		before := word[:strings.LastIndexByte(word, ',')+1]
		var out []string
		for _, v := range values {
			if !slices.Contains(strings.Split(before, ","), v) {
				out = append(out, before+v)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFile completes one argument that is a file.
func completeFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completeTool completes the names of tools behind skep itself, once there is a letter: without
// one the verbs are what is looked for.
func completeTool(_ *cobra.Command, args []string, word string) (names []string, _ cobra.ShellCompDirective) {
	if word != "" && len(args) == 0 {
		for _, tool := range allTools() {
			if strings.HasPrefix(tool.Name, word) {
				names = append(names, tool.Name+"\t"+tool.Summary)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
