// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"fmt"
	"os"

	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/scaffold"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/survey"
)

// Init writes the files with which a repository begins.
type Init struct {
	place   place
	cluster cluster
	face    string
	branch  string
	deploy  string
	yes     bool
	dryRun  bool
	force   bool
}

// Values of the input face.
const (
	faceGitHub  = "github"
	faceGitea   = "gitea"
	faceForgejo = "forgejo"
	faceTekton  = "tekton"
)

// Declare implements Step.
func (i *Init) Declare(set *step.Set) {
	set.Name, set.Summary = "init", "Write the workflow or the PipelineRun, the configuration and the RBAC for this repository."
	set.Long = "Looks at the repository and, where one answers, at the cluster, and explains each\n" +
		"file. On a terminal it asks, with an answer proposed to each question; nothing is\n" +
		"written before the last is answered, and then all files or none. Run again it finds\n" +
		"its own files and leaves them. A file that says something else is shown as a\n" +
		"difference and overwritten after a yes; where nobody can be asked nothing is\n" +
		"written, unless --force says so."
	set.Example = "knowngood init --namespace shop --dry-run"
	set.Faces = []step.Face{step.CLI}
	i.place.declare(set)
	i.cluster.declare(set)
	set.Text(&i.face, "face", "",
		"For whom: github, gitea, forgejo or tekton; empty goes by the folders of the repository, then by its remote.",
		step.Choices(faceGitHub, faceGitea, faceForgejo, faceTekton))
	set.Text(&i.branch, "branch", "", "Branch that releases are made from; empty is the default branch of the remote as of the last fetch, else main.")
	set.Text(&i.deploy, "deploy-command", "", "Command that deploys; empty goes by the folder in which the manifests seem to lie.")
	set.Bool(&i.yes, "yes", false, "Ask nothing, and take what is proposed; files that say something else still need --force.")
	set.Bool(&i.dryRun, "dry-run", false, "Show the files, and write nothing.")
	set.Bool(&i.force, "force", false, "Overwrite files that are there and say something else.")
}

// Run implements Step.
func (i *Init) Run(ctx context.Context, run *Run) error {
	if i.yes || i.dryRun {
		run.Ask = nil
	}
	seen, tekton, err := i.look(ctx, run)
	if err != nil {
		return err
	}
	found := i.survey(ctx, run, &seen, tekton)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	root, err := os.OpenRoot(run.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	w := writing{root: root, run: run, force: i.force}
	if err := w.sort(files(seen, tekton)); err != nil {
		return err
	}
	if i.dryRun {
		w.show()
		remark(run, found)
		return nil
	}
	if err := w.agree(ctx); err != nil {
		return err
	}
	if err := w.write(ctx); err != nil {
		return err
	}
	w.tell()
	remark(run, found)
	return nil
}

func files(seen scaffold.Seen, tekton bool) []scaffold.File {
	if tekton {
		return scaffold.Tekton(seen, tasks())
	}
	return scaffold.Actions(seen, specOf(&Release{}))
}

// tasks are the declarations of the steps that have a Task.
func tasks() []step.Spec {
	var specs []step.Spec
	for _, one := range All() {
		if spec := specOf(one); spec.Has(step.Tekton) {
			specs = append(specs, spec)
		}
	}
	return specs
}

func specOf(one Step) step.Spec {
	set := &step.Set{}
	one.Declare(set)
	return set.Spec
}

// grants are what the accounts of the RBAC are to be allowed.
func grants(tekton bool) []survey.Grant {
	if !tekton {
		return []survey.Grant{{Account: scaffold.ReleaseAccount, Needs: specOf(&Release{}).Needs, File: scaffold.RBAC}}
	}
	var all []survey.Grant
	for _, spec := range tasks() {
		all = append(all, survey.Grant{Account: scaffold.Account(spec), Needs: spec.Needs, File: scaffold.RBAC})
	}
	return all
}

// remark tells what a person should know or mend before the first release.
func remark(run *Run, found survey.Survey) {
	for n, r := range found.Remarks {
		if n == 0 {
			run.Show("\nbefore the first release:")
		}
		run.Show("- " + report.Line(r.What, 400))
		if r.Cure != "" {
			run.Show("    " + report.Line(r.Cure, 400))
		}
	}
}

// question returns the answer to one question, the one that is proposed where nobody can be asked.
func question(ctx context.Context, run *Run, what, proposed string) (string, error) {
	if run.Ask == nil {
		return proposed, nil
	}
	answer, err := run.Ask(ctx, what, proposed)
	if err != nil {
		return "", notWritten(err)
	}
	return answer, nil
}

func notWritten(err error) error { return fmt.Errorf("%w; nothing was written", err) }
