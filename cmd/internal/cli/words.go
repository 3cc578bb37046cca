// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// wordsAllowed lets steps take as many words as they have inputs for, and a command only after
// "--".
func wordsAllowed(set *step.Set) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		words, command := parted(cmd, args)
		if !takesCommand(set) && len(command) == 0 && countWords(set) == 0 {
			return noArgs(cmd, args)
		}
		if len(words) > countWords(set) {
			if takesCommand(set) {
				return fault.Hint(fault.Usagef("%s: unexpected %q before \"--\"", cmd.CommandPath(), words[countWords(set)]),
					"the command to run stands after \"--\", e.g. %s -- kubectl apply -f deploy/", cmd.CommandPath())
			}
			return fault.Hint(fault.Usagef("%s: unexpected %q", cmd.CommandPath(), words[countWords(set)]), "see %s --help", cmd.CommandPath())
		}
		if len(command) > 0 && !takesCommand(set) {
			return fault.Hint(fault.Usagef("%s: unexpected %q", cmd.CommandPath(), command[0]), "see %s --help", cmd.CommandPath())
		}
		return nil
	}
}

// parted returns the words before "--" and those after it.
func parted(cmd *cobra.Command, args []string) (words, command []string) {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		return args[:at], args[at:]
	}
	return args, nil
}

func countWords(set *step.Set) int {
	n := 0
	for _, in := range set.Inputs {
		if in.Word {
			n++
		}
	}
	return n
}

func takesCommand(set *step.Set) bool {
	for _, in := range set.Inputs {
		if in.Kind == step.Command {
			return true
		}
	}
	return false
}

// assignWords gives the words of the command line to the inputs that take them.
func assignWords(cmd *cobra.Command, args []string, set *step.Set) error {
	words, command := parted(cmd, args)
	for _, input := range set.Inputs {
		var given []string
		switch {
		case input.Kind == step.Command:
			given = command
		case input.Word && len(words) > 0:
			given, words = words[:1], words[1:]
			if set.Given(input.Name) {
				return fault.Usagef("%s is given twice: as a word and as --%s", input.Name, input.Name)
			}
		}
		for _, word := range given {
			if err := set.Assign(input.Name, word); err != nil {
				return err
			}
		}
	}
	return nil
}
