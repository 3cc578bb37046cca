// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/tekton"
)

// add hangs a step into the tree: "rotate prepare" below "rotate".
func (p Program) add(root *cobra.Command, one steps.Step, face face, env map[string]string) {
	set := &step.Set{}
	one.Declare(set)
	words := strings.Fields(set.Name)
	parent := root
	for _, word := range words[:len(words)-1] {
		parent = group(parent, word)
	}
	cmd := &cobra.Command{
		Use:     words[len(words)-1] + usageTail(set),
		Short:   set.Summary,
		Long:    longHelp(set),
		Example: indent(set.Example),
		Args:    wordsAllowed(set),
		Hidden:  len(set.Faces) == 0, // for Jobs of our own
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(cmd, args, invocation{one, set, face, environmentSource(env), &landing{}})
		},
	}
	addFlags(cmd.Flags(), set)
	parent.AddCommand(cmd)
}

// group returns the command that only holds others, made on first use.
func group(parent *cobra.Command, word string) *cobra.Command {
	for _, child := range parent.Commands() {
		if child.Name() == word {
			return child
		}
	}
	child := &cobra.Command{
		Use: word, Short: groupSummary(word), Args: noArgs, Hidden: word == "work",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(child)
	return child
}

func groupSummary(word string) string {
	summaries := map[string]string{
		"rotate": "Rotate TLS certificates around a deploy.",
		"deploy": "Say in the record when a deploy began and how it ended.",
		"backup": "Keep folders in a repository, and prove that they come back.",
		"key":    "Make, change and show the key of a repository.",
		"work":   "What Jobs of knowngood's own run in a cluster.",
	}
	if summary, ok := summaries[word]; ok {
		return summary
	}
	return "Commands of " + word + "."
}

func usageTail(set *step.Set) string {
	tail := ""
	for _, in := range set.Inputs {
		if in.Word {
			tail += " " + strings.ToUpper(in.Name)
		}
	}
	tail += " [flags]"
	if takesCommand(set) {
		tail += " -- COMMAND [ARG...]"
	}
	return tail
}

func longHelp(set *step.Set) string {
	var b strings.Builder
	b.WriteString(wrap(set.Summary, 0))
	if set.Long != "" {
		b.WriteString("\n\n" + flow(set.Long))
	}
	if len(set.Outputs) > 0 {
		b.WriteString("\n\nOutputs:\n")
		for _, out := range set.Outputs {
			fmt.Fprintf(&b, "  %-18s %s\n", out.Name, wrap(out.Doc, 21))
		}
	}
	var secrets []string
	for _, in := range set.Inputs {
		if in.Kind == step.Secret {
			secrets = append(secrets, fmt.Sprintf("  %-18s %s", in.Env(), wrap(in.Doc, max(21, 3+len(in.Env())))))
		}
	}
	if len(secrets) > 0 {
		b.WriteString("\nSecrets, by environment or by the file that <NAME>_FILE names:\n" + strings.Join(secrets, "\n"))
	}
	return strings.TrimRight(b.String(), "\n")
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// An invocation is one step about to run.
type invocation struct {
	step   steps.Step
	set    *step.Set
	face   face
	given  step.Source // of the environment
	landed *landing
}

func (p Program) run(cmd *cobra.Command, args []string, in invocation) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	verbose, err := cmd.Flags().GetBool("verbose")
	if err != nil {
		return err
	}
	config, err := p.complete(cmd, args, in)
	if err != nil {
		return err
	}
	switch face := in.face.(type) {
	case *terminal:
		face.quiet = asJSON
	case *tekton.Host:
		if err := face.Begin(in.set.Outputs); err != nil {
			return err
		}
	}
	screen := &screen{out: p.Stderr, renew: isTerminal(p.Stderr)}
	var result any
	run := &steps.Run{
		Log: p.logger(screen, in.face, verbose), Now: p.Now, Version: p.Version, Host: in.face, Dir: p.Dir,
		Console: screen.console(), Usage: usageOfProcess,
		Environ: withoutSecrets(p.Environ, secretVariables()), Config: config,
		Tell:     func(text string) { screen.tell(text) },
		Show:     func(text string) { p.show(asJSON, text) },
		Annotate: annotator(in.face),
		Ask:      p.asker(screen, in.face),
		Result:   func(value any) { result = value },
	}
	if config.Use != nil && config.Use.Pending {
		run.Log.Warn("changes to the configuration take effect after the merge", "file", config.Use.File, "base", config.Use.Base)
	}
	if missed := in.landed.missed; missed != nil {
		run.Log.Info("the pull request of the commit is not known", "why", missed.Error())
	}
	err = in.step.Run(cmd.Context(), run)
	screen.done()
	if worker, ok := in.face.(*worker); ok {
		worker.result = result
		return err
	}
	if asJSON && result != nil {
		encoder := json.NewEncoder(p.Stdout)
		encoder.SetIndent("", "  ")
		if printing := encoder.Encode(result); printing != nil && err == nil {
			err = printing
		}
	}
	return err
}

// show prints a result that is text. With --json the JSON value is the result.
func (p Program) show(asJSON bool, text string) {
	if !asJSON {
		fmt.Fprintln(p.Stdout, strings.TrimRight(text, "\n"))
	}
}

// complete gives every input its value: flag, environment, the face's fact, the
// configuration, default; and returns the configuration.
func (p Program) complete(cmd *cobra.Command, args []string, in invocation) (steps.Config, error) {
	if err := assignWords(cmd, args, in.set); err != nil {
		return steps.Config{}, err
	}
	ctx := cmd.Context()
	for _, input := range in.set.Inputs {
		if input.Kind == step.Secret {
			p.mask(in, input)
		}
	}
	facts := func(input step.Input) (string, bool, error) { return p.fact(ctx, in, input) }
	config, err := p.configuration(ctx, in, in.given, facts)
	if err != nil {
		return config, err
	}
	return config, in.set.Complete(in.given, facts, configSource(config))
}

// fact asks the face. A tree is only told when it is the tree of the commit that was given.
// An input that is no fact is the person's to give: history's commit asks, it does not tell.
func (p Program) fact(ctx context.Context, in invocation, input step.Input) (string, bool, error) {
	if !input.Fact {
		return "", false, nil
	}
	if input.Name == "tree" {
		commit, ok, err := in.face.Fact(ctx, step.Input{Name: "commit", Fact: true})
		if err != nil || !ok || commit != in.set.Value("commit") {
			return "", false, err
		}
	}
	value, ok, err := in.face.Fact(ctx, input)
	if err != nil || ok {
		return value, ok, err
	}
	value = ""
	switch input.Name {
	case "tree":
		value, err = p.tree(ctx, in.set.Value("commit"))
	case "head":
		value = p.landing(ctx, in).Head
	case "pull-request":
		if number := p.landing(ctx, in).Number; number > 0 {
			value = strconv.Itoa(number)
		}
	}
	return value, value != "", err
}

func (p Program) mask(in invocation, input step.Input) {
	if value, ok, err := in.given(input); ok && err == nil {
		in.face.Mask(strings.TrimRight(value, "\r\n"))
	}
}

// secretVariables are the variables by which secrets are given to us, to this step or to another
// of the job. A fallback such as GITHUB_TOKEN is not one of them: it was put there for every
// command of the job.
func secretVariables() []string {
	var names []string
	for _, one := range steps.All() {
		set := &step.Set{}
		one.Declare(set)
		for _, in := range set.Inputs {
			if in.Kind == step.Secret {
				names = append(names, in.Env(), in.Env()+"_FILE")
			}
		}
	}
	return names
}
