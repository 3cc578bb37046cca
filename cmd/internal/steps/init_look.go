// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/git"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/policy"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/scaffold"
	"github.com/knowngood/knowngood/pkg/survey"
)

// lookTimeout is how long the cluster is looked at: a repository can begin without one.
const lookTimeout = 20 * time.Second

var tagForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// look completes what was given by what the checkout and the kubeconfig tell, and by answers.
func (i *Init) look(ctx context.Context, run *Run) (seen scaffold.Seen, tekton bool, err error) {
	repository, err := scaffold.Read(os.DirFS(run.Dir))
	if err != nil {
		return seen, false, err
	}
	host, trunk, err := origin(ctx, run)
	if err != nil {
		return seen, false, err
	}
	namespace, err := i.connect(ctx, run)
	if err != nil {
		return seen, false, err
	}
	settle := func(what, given, proposed string) string {
		if given != "" || err != nil {
			return given
		}
		var answer string
		answer, err = question(ctx, run, what, proposed)
		return answer
	}
	before := inputsBefore(run.Dir)
	app := settle("name of the application", i.place.app,
		cmp.Or(before["app"], i.place.application(), strings.ToLower(filepath.Base(run.Dir))))
	seen = scaffold.Seen{
		App: app, Version: "main", Scanners: repository.Scanners,
		Namespace: settle("its namespace in the cluster", i.cluster.namespace, cmp.Or(before["namespace"], namespace, namespaceOf(app))),
	}
	if err == nil {
		if err = kube.CheckNamespace(seen.Namespace); err != nil {
			return seen, false, notWritten(err)
		}
	}
	face := settle("for whom: github, gitea, forgejo or tekton", i.face, faceOf(repository, host))
	seen.Forge, tekton = scaffold.Forge(face), face == faceTekton
	if err == nil && !slices.Contains([]string{faceGitHub, faceGitea, faceForgejo, faceTekton}, face) {
		return seen, false, notWritten(fault.Usagef("%q: want github, gitea, forgejo or tekton", report.Line(face, 100)))
	}
	if !tekton {
		seen.Branch = settle("branch that releases are made from", i.branch, cmp.Or(trunk, "main"))
		if i.deploy == "" && repository.Guessed() {
			run.Log.Warn("no manifests were found: the command that deploys is a guess")
		}
		seen.Deploy = settle("command that deploys", i.deploy, repository.Deploy(app))
	}
	if tagForm.MatchString(run.Version) {
		seen.Version = run.Version
	}
	if err == nil {
		seen.Catalog, err = i.catalog(run, before["catalog"])
	}
	return seen, tekton, err
}

// catalog is the place that the files may name: each job reaches it, and nobody learns a secret
// from it. What the configuration says already is its owner's matter.
func (i *Init) catalog(run *Run, before string) (string, error) {
	given := cmp.Or(i.place.catalog, before)
	scheme, _, isURL := strings.Cut(given, "://")
	switch {
	case given == before:
		return given, nil
	case !isURL || scheme == "file" || scheme == "mem":
		run.Log.Warn("the catalog lies on this machine, where no job reaches it: it is left out", "catalog", given)
		return before, nil
	case bucket.Hides(given):
		return "", notWritten(fault.Hint(
			fault.Usagef("the address of the catalog holds what may be secret (%s), and would be committed", bucket.Redact(given)),
			"leave that part out here, and give the whole address to the jobs as KNOWNGOOD_CATALOG"))
	}
	if _, err := bucket.Check(given); err != nil {
		return "", notWritten(err)
	}
	return given, nil
}

// inputsBefore are those of the configuration that is there, so that what was answered once is
// proposed again. One that cannot be read proposes nothing; it is shown as a difference.
func inputsBefore(dir string) map[string]string {
	data, err := os.ReadFile(filepath.Join(dir, scaffold.Config))
	if err != nil {
		return nil
	}
	rules, err := policy.Parse(scaffold.Config, data)
	if err != nil {
		return nil
	}
	return rules.Inputs()
}

// origin returns the server of the remote and the branch that releases are made from, as far as
// the checkout tells. Workflows count at its top alone.
func origin(ctx context.Context, run *Run) (host, trunk string, err error) {
	checkout, err := git.Open(ctx, run.Dir, run.Environ)
	if errors.Is(err, git.ErrNoGit) || errors.Is(err, git.ErrNoRepository) {
		run.Log.Warn("this is no git repository: its branch and its server are not known")
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	top, err := checkout.Root(ctx)
	if err != nil {
		return "", "", err
	}
	if here, err := filepath.EvalSymlinks(run.Dir); err == nil && here != top {
		return "", "", fault.Hint(fault.Usagef("%s is not the top of the repository, where workflows and %s have to lie", run.Dir, scaffold.Config), "cd %s", top)
	}
	if host, _, err = checkout.Origin(ctx); err != nil {
		return "", "", err
	}
	trunk, err = checkout.Trunk(ctx)
	return host, trunk, err
}

// faceOf goes by what the repository has already, then by where it lies.
func faceOf(repository scaffold.Repository, host string) string {
	switch {
	case repository.Forge != "":
		return string(repository.Forge)
	case repository.Tekton:
		return faceTekton
	case host == "codeberg.org", strings.Contains(host, "forgejo"):
		return faceForgejo
	case strings.Contains(host, "gitea"):
		return faceGitea
	}
	return faceGitHub
}

// namespaceOf makes a name that a namespace can have.
func namespaceOf(app string) string {
	words := strings.FieldsFunc(strings.ToLower(app), func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r)
	})
	name := strings.Join(words, "-")
	return cmp.Or(strings.TrimRight(name[:min(len(name), 63)], "-"), "default")
}

// connect asks whether the cluster answers, and returns the namespace of its context. A cluster
// that was named has to make sense; without one "" is returned.
func (i *Init) connect(ctx context.Context, run *Run) (namespace string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	connected, err := i.cluster.connect(ctx, run)
	switch {
	case err == nil:
		return connected.Namespace, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return "", context.Cause(ctx)
	case fault.StatusOf(err) == fault.Usage && !errors.Is(err, kube.ErrNoCluster):
		return "", err // what was given makes no sense
	}
	run.Log.Warn("no cluster was looked at: what it has is not known", "why", report.Line(err.Error(), 300))
	return "", nil
}

// survey looks at the cluster, if one answers, and leaves out the steps that it has nothing for.
// The Pipeline has them all, so that it is only said there.
func (i *Init) survey(ctx context.Context, run *Run, seen *scaffold.Seen, tekton bool) survey.Survey {
	if i.cluster.connected == nil {
		return survey.Survey{}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	i.cluster.connected.Namespace = seen.Namespace
	found := survey.Look(ctx, i.cluster.connected, grants(tekton), tekton)
	for _, part := range []struct{ step, why string }{{skipSnapshot, found.NoSnapshots}, {skipRotate, found.NoCertificates}} {
		switch {
		case part.why == "":
		case tekton:
			found.Remarks = append(found.Remarks, survey.Remark{
				What: fmt.Sprintf("the Task of %s would fail: %s", part.step, part.why),
				Cure: "take it out of a Pipeline of your own, made from tekton/pipeline/knowngood-release",
			})
		default:
			seen.Skip = append(seen.Skip, scaffold.Skip{Step: part.step, Why: part.why})
			run.Log.Warn("the step is left out", "step", part.step, "why", part.why)
		}
	}
	run.Log.Info("seen", "claims", strings.Join(found.Claims, ","), "certificates", strings.Join(found.Certificates, ","), "tekton", found.Tekton)
	return found
}
