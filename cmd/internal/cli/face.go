// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/knowngood/knowngood/action"
	"github.com/knowngood/knowngood/cmd/internal/steps"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/tekton"
)

// A face is a host that also knows facts and shows what goes wrong in its own way.
type face interface {
	steps.Host
	// Fact returns what the face knows of an input by itself.
	Fact(ctx context.Context, in step.Input) (string, bool, error)
	// Mark shows a warning or an error where the face has a place for it.
	Mark(level slog.Level, message string)
	// Fail shows the error with which the command ends.
	Fail(err error)
}

// face chooses by what the environment says of itself.
func (p Program) face(env map[string]string) face {
	getenv := func(name string) string { return env[name] }
	switch {
	case env[work.ResultVariable] != "":
		return &worker{path: env[work.ResultVariable]}
	case env["GITHUB_ACTIONS"] == "true" && env["GITHUB_OUTPUT"] != "":
		return action.New(action.Config{Getenv: getenv, Stdout: p.Stderr, HTTP: http.DefaultClient})
	case env[tekton.ResultVariable] != "":
		return tekton.New(tekton.Config{
			Result: env[tekton.ResultVariable], Records: env[tekton.RecordsVariable], Stderr: p.Stderr,
		})
	default:
		return &terminal{out: p.Stdout, facts: p.checkout}
	}
}

// annotator returns how the face points findings out, nil where it has no way to.
func annotator(in face) func(report.Annotation) bool {
	host, ok := in.(*action.Host)
	if !ok {
		return nil
	}
	return func(a report.Annotation) bool { return host.Annotate(action.Annotation(a)) }
}

// terminal is the face of a person or a plain script: outputs are name=value lines, and the
// facts are those of the checkout in the working directory.
type terminal struct {
	out   io.Writer
	facts func(context.Context) (git.Facts, error)
	quiet bool // --json: outputs are in the JSON value
}

func (t *terminal) Output(name, value string) error {
	if t.quiet {
		return nil
	}
	_, err := fmt.Fprintf(t.out, "%s=%s\n", name, value)
	return err
}

func (*terminal) Summary(string) (bool, error) { return false, nil }
func (*terminal) Mask(string)                  {}
func (*terminal) Mark(_ slog.Level, _ string)  {}
func (*terminal) Fail(error)                   {}

// Fact answers from the git checkout in the working directory.
func (t *terminal) Fact(ctx context.Context, in step.Input) (string, bool, error) {
	if in.Name != "commit" && in.Name != "tree" && in.Name != "source-repository" {
		return "", false, nil
	}
	facts, err := t.facts(ctx)
	if err != nil {
		return "", false, err
	}
	value := map[string]string{
		"commit": string(facts.Commit), "tree": string(facts.Tree), "source-repository": facts.Repository,
	}[in.Name]
	return value, value != "", nil
}

func (p Program) checkout(ctx context.Context) (git.Facts, error) {
	return git.FactsOf(ctx, p.Dir, p.Environ)
}
