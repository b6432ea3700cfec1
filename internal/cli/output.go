// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

// outputFlag adds -o with its allowed values and their completion.
func outputFlag(cmd *cobra.Command, into *string, standard string, allowed ...string) {
	cmd.Flags().StringVarP(into, "output", "o", standard, "output: "+strings.Join(allowed, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func checkOutput(output string, allowed ...string) error {
	return oneOf("-o", output, allowed)
}

func oneOf(flag, given string, allowed []string) error {
	if !slices.Contains(allowed, given) {
		return usage("%s %q: must be one of %s", flag, given, strings.Join(allowed, ", "))
	}
	return nil
}

// printJSON writes each message as a line.
func printJSON[M proto.Message](a *app, messages ...M) error {
	var buf []byte
	for _, m := range messages {
		buf = append(a.appendJSON(buf, m), '\n')
	}
	_, err := a.out.Write(buf)
	return wrapWrite(err)
}

// print writes a page.
func (a *app) print(text string) error {
	_, err := io.WriteString(a.out, a.title()+text)
	return wrapWrite(err)
}

func wrapWrite(err error) error {
	if err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
