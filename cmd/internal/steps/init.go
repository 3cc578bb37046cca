// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/scaffold"
	"github.com/knowngood/knowngood/pkg/step"
)

// Init writes the files with which a repository begins.
type Init struct {
	place   place
	cluster cluster
	face    string
	branch  string
	dryRun  bool
	force   bool
}

const (
	faceGitHub = "github"
	faceTekton = "tekton"
)

// lookTimeout is how long the cluster is looked at: a repository can begin without one.
const lookTimeout = 10 * time.Second

// Declare implements Step.
func (i *Init) Declare(set *step.Set) {
	set.Name, set.Summary = "init", "Write the workflow or the PipelineRun, the configuration and the RBAC for this repository."
	set.Long = "Looks at the repository and, where one answers, at the cluster, and explains each file.\n" +
		"Run again it finds its own files and leaves them. A file that says something else is\n" +
		"never overwritten, and then nothing is written at all, unless --force says so."
	set.Example = "knowngood init --namespace shop --dry-run"
	set.Faces = []step.Face{step.CLI}
	i.place.declare(set)
	i.cluster.declare(set)
	set.Text(&i.face, "face", "", "For whom: github or tekton; empty is tekton where there is a folder .tekton, else github.", step.Choices(faceGitHub, faceTekton))
	set.Text(&i.branch, "branch", "main", "Branch that releases are made from.")
	set.Bool(&i.dryRun, "dry-run", false, "Show the files, and write nothing.")
	set.Bool(&i.force, "force", false, "Overwrite files that are there and say something else.")
}

// Run implements Step.
func (i *Init) Run(ctx context.Context, run *Run) error {
	seen, err := i.look(ctx, run)
	if err != nil {
		return err
	}
	files := i.files(run.Dir, seen)
	var fresh, same []scaffold.File
	var differ []string
	for _, file := range files {
		path := filepath.Join(run.Dir, filepath.FromSlash(file.Path))
		switch have, err := os.ReadFile(path); {
		case err == nil && bytes.Equal(have, []byte(file.Text)):
			same = append(same, file)
			continue
		case err == nil:
			differ = append(differ, file.Path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		fresh = append(fresh, file)
	}
	if i.dryRun {
		show(run, files)
		return nil
	}
	if len(differ) > 0 && !i.force {
		return fault.Hint(fault.Usagef("%s: there already, and different; nothing was written", strings.Join(differ, ", ")),
			"see what would be written by --dry-run; --force overwrites")
	}
	for _, file := range fresh {
		if err := writeScaffold(run.Dir, file); err != nil {
			return err
		}
	}
	tell(run, "wrote", fresh)
	tell(run, "left", same)
	return nil
}

func show(run *Run, files []scaffold.File) {
	for _, file := range files {
		run.Show("# " + file.Path + ": " + file.Why + "\n" + file.Text)
	}
}

func tell(run *Run, verb string, files []scaffold.File) {
	for _, file := range files {
		run.Show(verb + " " + file.Path + "\n    " + file.Why)
	}
}

// writeScaffold writes one file whole, through no link that leads out of the repository.
func writeScaffold(dir string, file scaffold.File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(file.Path)), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", file.Path, err)
	}
	draft := filepath.FromSlash(file.Path) + ".draft"
	if err := root.WriteFile(draft, []byte(file.Text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file.Path, err)
	}
	return root.Rename(draft, filepath.FromSlash(file.Path))
}

func (i *Init) files(dir string, seen scaffold.Seen) []scaffold.File {
	if i.face == faceTekton || i.face == "" && isFolder(dir, ".tekton") {
		var specs []step.Spec
		for _, one := range All() {
			if spec := specOf(one); spec.Has(step.Tekton) {
				specs = append(specs, spec)
			}
		}
		return scaffold.Tekton(seen, specs)
	}
	return scaffold.GitHub(seen, specOf(&Release{}))
}

func specOf(one Step) step.Spec {
	set := &step.Set{}
	one.Declare(set)
	return set.Spec
}

var tagForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// look completes what was given by what can be seen.
func (i *Init) look(ctx context.Context, run *Run) (scaffold.Seen, error) {
	seen := scaffold.Seen{App: i.place.application(), Branch: i.branch, Version: "main", Namespace: i.cluster.namespace}
	if tagForm.MatchString(run.Version) {
		seen.Version = run.Version
	}
	if seen.App == "" {
		seen.App = strings.ToLower(filepath.Base(run.Dir))
	}
	seen.Scanner = scanner(run.Dir)
	seen.Deploy = deployer(run.Dir, seen.App)
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	connected, err := i.cluster.connect(ctx, run)
	if err != nil {
		if fault.StatusOf(err) == fault.Usage && (i.cluster.kubeconfig != "" || i.cluster.context != "") {
			return seen, err // a cluster was named
		}
		run.Log.Warn("no cluster was looked at: what it has is not known", "why", report.Line(err.Error(), 300))
		seen.Namespace = cmp.Or(seen.Namespace, seen.App)
		return seen, nil
	}
	seen.Namespace = cmp.Or(seen.Namespace, connected.Namespace)
	groups, err := connected.Core.Discovery().ServerGroups()
	if err != nil {
		run.Log.Warn("the cluster does not say what it has", "why", report.Line(err.Error(), 300))
		return seen, nil
	}
	has := map[string]bool{}
	for _, group := range groups.Groups {
		has[group.Name] = true
	}
	for _, part := range []struct{ group, skip string }{{"snapshot.storage.k8s.io", skipSnapshot}, {"cert-manager.io", skipRotate}} {
		if !has[part.group] {
			seen.Skip = append(seen.Skip, part.skip)
			run.Log.Warn("the cluster lacks an API: the step is left out", "group", part.group, "step", part.skip)
		}
	}
	return seen, nil
}

// scanner proposes the scanner of the repository's language.
func scanner(dir string) scaffold.Scanner {
	for _, known := range []struct {
		file    string
		scanner scaffold.Scanner
	}{
		{"go.mod", scaffold.Scanner{Name: "gosec", Command: "gosec -fmt sarif -out gosec.sarif -no-fail ./...", File: "gosec.sarif"}},
		{"package.json", scaffold.Scanner{
			Name: "eslint", Command: "npx eslint --format @microsoft/eslint-formatter-sarif --output-file eslint.sarif . || test -s eslint.sarif", File: "eslint.sarif",
		}},
	} {
		if _, err := os.Stat(filepath.Join(dir, known.file)); err == nil {
			return known.scanner
		}
	}
	return scaffold.Scanner{Name: "semgrep", Command: "semgrep scan --sarif --output semgrep.sarif", File: "semgrep.sarif"}
}

// deployer proposes the command by the folder in which the manifests seem to lie.
func deployer(dir, app string) string {
	for _, folder := range []string{"deploy", "k8s", "kubernetes", "manifests", "."} {
		switch {
		case isFile(dir, folder, "kustomization.yaml"):
			return "kubectl apply -k " + folder
		case isFile(dir, folder, "Chart.yaml"):
			return "helm upgrade --install --wait " + app + " " + folder
		case folder != "." && isFolder(dir, folder):
			return "kubectl apply -f " + folder + "/"
		}
	}
	return "kubectl apply -f deploy/"
}

func isFile(parts ...string) bool {
	info, err := os.Stat(filepath.Join(parts...))
	return err == nil && info.Mode().IsRegular()
}

func isFolder(parts ...string) bool {
	info, err := os.Stat(filepath.Join(parts...))
	return err == nil && info.IsDir()
}
