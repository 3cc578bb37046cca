// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A Repository is what the files of a repository tell.
type Repository struct {
	Scanners []Scanner
	// Forge is whose folder of workflows there is, "" where there is none.
	Forge Forge
	// Tekton is true where there is a folder of Tekton's.
	Tekton bool

	deploy string // with APP for the application's name, "" where nothing was found
}

// Guessed is true where no manifests were found to deploy.
func (r Repository) Guessed() bool { return r.deploy == "" }

// Deploy returns the command that deploys the application, for a shell.
func (r Repository) Deploy(app string) string {
	if r.Guessed() {
		return "kubectl apply -f deploy/"
	}
	return strings.ReplaceAll(r.deploy, "APP", shellWord(app))
}

const (
	// mostFiles are looked at, and no deeper than deepest: what a repository is written in shows
	// early.
	mostFiles = 20_000
	deepest   = 6
)

// Read looks at a repository. Folders that hold what others wrote are not looked into.
func Read(repository fs.FS) (Repository, error) {
	known := Repository{Tekton: isFolder(repository, ".tekton")}
	for _, forge := range []Forge{GitHubForge, GiteaForge, ForgejoForge} {
		if isFolder(repository, "."+string(forge)+"/workflows") && known.Forge == "" {
			known.Forge = forge
		}
	}
	kinds, err := kindsOf(repository)
	if err != nil {
		return known, err
	}
	known.Scanners = scanners(repository, kinds)
	known.deploy = deploy(repository)
	return known, nil
}

// kindsOf returns the extensions, and the names of files without one, in lower case.
func kindsOf(repository fs.FS) (map[string]bool, error) {
	kinds := map[string]bool{}
	files := 0
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case name == "." && err != nil:
			return err
		case err != nil:
			return nil //nolint:nilerr // a folder that may not be read tells nothing
		case entry.IsDir() && name != "." && (foreign(entry.Name()) || strings.Count(name, "/") >= deepest):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		if files++; files > mostFiles {
			return fs.SkipAll
		}
		base := strings.ToLower(entry.Name())
		if extension := path.Ext(base); extension != "" && extension != base {
			kinds[extension] = true
		}
		kinds[base] = true
		return nil
	})
	return kinds, err
}

// foreign tells folders that hold what others wrote, or what a build made.
func foreign(name string) bool {
	return strings.HasPrefix(name, ".") ||
		slices.Contains([]string{"node_modules", "vendor", "third_party", "testdata", "target", "dist", "build", "venv"}, name)
}

// A trace is what a scanner is proposed for.
type trace struct {
	scanner Scanner
	// all lie at the top of the repository, any is an extension or a name anywhere.
	all, any []string
}

func traces() []trace {
	return []trace{
		{Scanner{"gosec", "gosec -fmt sarif -out gosec.sarif -no-fail ./...", "gosec.sarif"}, []string{"go.mod"}, nil},
		{Scanner{"eslint", "npx eslint --format @microsoft/eslint-formatter-sarif --output-file eslint.sarif . || test -s eslint.sarif", "eslint.sarif"}, []string{"package.json"}, nil},
		{Scanner{"bandit", "bandit --recursive . --format sarif --output bandit.sarif --exit-zero", "bandit.sarif"}, nil, []string{".py"}},
		{Scanner{"brakeman", "brakeman --no-exit-on-warn --output brakeman.sarif", "brakeman.sarif"}, []string{"Gemfile", "config/routes.rb"}, nil},
		{Scanner{"semgrep", "semgrep scan --sarif --output semgrep.sarif", "semgrep.sarif"}, nil, []string{".java", ".kt", ".cs", ".php", ".rs", ".swift", ".scala", ".c", ".cpp"}},
		{Scanner{"trivy", "trivy fs --scanners vuln,misconfig --format sarif --output trivy.sarif .", "trivy.sarif"}, nil, []string{"dockerfile", "containerfile", ".tf"}},
		{Scanner{"gitleaks", "gitleaks dir --report-format sarif --report-path gitleaks.sarif --exit-code 0 .", "gitleaks.sarif"}, []string{".gitleaks.toml"}, nil},
	}
}

// scanners proposes those of the languages, of images and infrastructure, and such as the
// repository has the settings of.
func scanners(repository fs.FS, kinds map[string]bool) []Scanner {
	var all []Scanner
	code := false
	for _, t := range traces() {
		fits := len(t.all) > 0
		for _, name := range t.all {
			fits = fits && isFile(repository, name)
		}
		fits = fits || slices.ContainsFunc(t.any, func(kind string) bool { return kinds[kind] })
		if !fits {
			continue
		}
		all = append(all, t.scanner)
		code = code || t.scanner.Name != "trivy" && t.scanner.Name != "gitleaks"
	}
	if !code {
		all = append([]Scanner{{"semgrep", "semgrep scan --sarif --output semgrep.sarif", "semgrep.sarif"}}, all...)
	}
	return all
}

// deploy proposes the command by the folder in which the manifests seem to lie.
func deploy(repository fs.FS) string {
	for _, folder := range []string{"deploy", "k8s", "kubernetes", "manifests", "chart", "charts", "helm", "."} {
		switch {
		case isFile(repository, path.Join(folder, "kustomization.yaml")):
			return "kubectl apply -k " + folder
		case isFile(repository, path.Join(folder, "Chart.yaml")):
			return "helm upgrade --install --wait APP " + folder
		case !isFolder(repository, folder) || folder == ".":
			continue
		}
		if charts, _ := fs.Glob(repository, folder+"/*/Chart.yaml"); len(charts) == 1 && safe(charts[0]) {
			return "helm upgrade --install --wait APP " + path.Dir(charts[0])
		}
		if objects, _ := fs.Glob(repository, folder+"/*.y*ml"); len(objects) > 0 {
			return "kubectl apply -f " + folder + "/"
		}
	}
	return ""
}

// shellWord is a name as one word of a shell.
func shellWord(name string) string {
	if !safe(name) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}

// safe tells names that a shell takes as they are.
func safe(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-", r)
	}) && !strings.HasPrefix(name, "-")
}

func isFile(repository fs.FS, name string) bool {
	info, err := fs.Stat(repository, name)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(repository fs.FS, name string) bool {
	info, err := fs.Stat(repository, name)
	return err == nil && info.IsDir()
}
