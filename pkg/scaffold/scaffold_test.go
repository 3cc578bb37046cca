// SPDX-License-Identifier: Apache-2.0

package scaffold_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/knowngood/knowngood/pkg/scaffold"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/test/docs"
)

// declared are steps in small.
func declared() []step.Spec {
	gate, release := &step.Set{}, &step.Set{}
	gate.Name = "gate"
	gate.NeedsCluster("get", "namespaces", "name the environment")
	release.Name = "release"
	release.NeedsCluster("get", "namespaces", "name the environment")
	release.Needs("create,get", "snapshot.storage.k8s.io/volumesnapshots", "take the snapshots")
	release.Needs("create", "pods/exec", "quiesce")
	release.Permission("contents", "read", "the configuration")
	release.Permission("checks", "write", "the check run")
	return []step.Spec{gate.Spec, release.Spec}
}

// TestRepositories holds what is made of each repository of testdata to what lies beside it: a
// file "seen" tells what is known besides the tree under "repository/", and the files that are
// wanted lie under "want/". UPDATE=1 writes the latter.
func TestRepositories(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) < 4 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, given := map[string]string{}, []txtar.File{}
			dir := t.TempDir()
			var seen scaffold.Seen
			var tekton struct{ Tekton bool }
			for _, file := range archive.Files {
				if name, ok := strings.CutPrefix(file.Name, "want/"); ok {
					want[name] = string(file.Data)
					continue
				}
				given = append(given, file)
				if name, ok := strings.CutPrefix(file.Name, "repository/"); ok {
					put(t, filepath.Join(dir, name), file.Data)
					continue
				}
				for _, into := range []any{&seen, &tekton} {
					if err := json.Unmarshal(file.Data, into); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := made(t, os.DirFS(dir), seen, tekton.Tekton)
			if os.Getenv("UPDATE") != "" {
				rewrite(t, path, &txtar.Archive{Comment: archive.Comment, Files: given}, got)
				return
			}
			texts := map[string]string{}
			for _, file := range got {
				texts[file.Path] = file.Text
				if file.Why == "" {
					t.Errorf("%s is not explained", file.Path)
				}
				if err := docs.Check(t.Context(), "../..", strings.ReplaceAll(file.Text, "uses: https://github.com/", "uses: ")); err != nil {
					t.Errorf("%s: %v", file.Path, err)
				}
			}
			if diff := cmp.Diff(want, texts); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func made(t *testing.T, repository fs.FS, seen scaffold.Seen, tekton bool) []scaffold.File {
	t.Helper()
	known, err := scaffold.Read(repository)
	if err != nil {
		t.Fatal(err)
	}
	seen.Scanners, seen.Deploy = known.Scanners, known.Deploy(seen.App)
	if known.Forge != "" {
		seen.Forge = known.Forge
	}
	if tekton || known.Tekton && known.Forge == "" {
		return scaffold.Tekton(seen, declared()[:1])
	}
	return scaffold.Actions(seen, declared()[1])
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, path string, archive *txtar.Archive, files []scaffold.File) {
	t.Helper()
	for _, file := range files {
		archive.Files = append(archive.Files, txtar.File{Name: "want/" + file.Path, Data: []byte(file.Text)})
	}
	if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What was seen stands in the files as it is, whatever it holds: it is data, never YAML.
func FuzzWhatWasSeenStaysData(f *testing.F) {
	for _, text := range []string{"shop", "a: b", "\"} evil: [", "a #b", "- x", "yes", "0x1", "1e3", "~", "a\nb: c", "\u2028", "&a *b", "@x", "!x", "|", "x:\t", "'", "%", "main", "-x", "a -- b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 || !json.Valid(quoted(t, text)) {
			t.Skip()
		}
		seen := scaffold.Seen{
			App: text, Namespace: text, Branch: text, Version: "v0.1.0", Forge: scaffold.GitHubForge, Deploy: text,
			Scanners: []scaffold.Scanner{{Name: "x", Command: "x", File: "x.sarif"}}, Skip: []scaffold.Skip{{Step: "rotate", Why: text}},
		}
		for _, file := range scaffold.Actions(seen, declared()[1]) {
			held(t, file, text)
		}
		for _, file := range scaffold.Tekton(seen, declared()) {
			held(t, file, text)
		}
	})
}
