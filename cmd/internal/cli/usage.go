// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// columns is the width that help keeps to.
const columns = 80

// usage prints how a command is called, on lines that fit a terminal.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if step := strings.Contains(cmd.Use, " "); step || !cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n\nCommands:\n", cmd.CommandPath())
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() || child.Name() == "help" {
				fmt.Fprintf(&b, "  %-12s %s\n", child.Name(), wrap(child.Short, 15))
			}
		}
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExample:\n%s\n", cmd.Example)
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", flags.FlagUsagesWrapped(columns))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nEverywhere:\n%s", flags.FlagUsagesWrapped(columns))
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// flow breaks the paragraphs of a text anew so that they fit a terminal. Those with lines that
// are indented stay as they are.
func flow(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n ") {
			paragraphs[i] = wrap(p, 0)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// wrap breaks text into lines that fit behind a margin of the given width.
func wrap(text string, margin int) string {
	var b strings.Builder
	width := margin
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case width+1+len(word) > columns:
			b.WriteString("\n" + strings.Repeat(" ", margin))
			width = margin
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}
