// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/pflag"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// flagValue lets pflag write into a Set.
type flagValue struct {
	set   *step.Set
	input step.Input
	text  string
}

func (f *flagValue) String() string { return f.text }

func (f *flagValue) Type() string {
	switch f.input.Kind {
	case step.Bool:
		return "bool"
	case step.Int:
		return "number"
	case step.Duration:
		return "duration"
	default:
		return "text"
	}
}

func (f *flagValue) Set(text string) error {
	f.text = text
	return f.set.Assign(f.input.Name, text)
}

// addFlags gives every input a flag, but for secrets, which argv would show to the machine,
// and the command, which stands after "--".
func addFlags(flags *pflag.FlagSet, set *step.Set) {
	for _, in := range set.Inputs {
		if in.Kind == step.Secret || in.Kind == step.Command {
			continue
		}
		flag := flags.VarPF(&flagValue{set: set, input: in, text: in.Default}, in.Name, "", in.Doc)
		if in.Kind == step.Bool {
			flag.NoOptDefVal = "true"
		}
	}
}

// environmentSource reads KNOWNGOOD_<NAME>, for secrets also the file that
// KNOWNGOOD_<NAME>_FILE names, then the fallback variable of the face.
func environmentSource(env map[string]string) step.Source {
	files := secretFiles{}
	return func(in step.Input) (string, bool, error) {
		if in.Kind == step.Command {
			return "", false, nil
		}
		value, path := env[in.Env()], ""
		if in.Kind == step.Secret {
			path = env[in.Env()+"_FILE"]
		}
		switch {
		case value != "" && path != "":
			return "", false, fault.Hint(fault.Usagef("%s has two sources: %s and %[2]s_FILE", in.Name, in.Env()), "leave one: each could hold another secret")
		case value != "":
			return value, true, nil
		case path != "":
			return files.read(in, path, secretPatience)
		}
		if in.Fallback != "" && env[in.Fallback] != "" {
			return env[in.Fallback], true, nil
		}
		return "", false, nil
	}
}
