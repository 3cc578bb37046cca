// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var pinnedUse = regexp.MustCompile(`knowngood/knowngood/(action/[a-z-]+)@\S+ # \S+`)

// vendored puts the project itself into the shop, and lets its workflows use the Action as ./:
// there is no release in a checkout, so that the program is built from source.
func (s *shop) vendored() {
	s.t.Helper()
	for _, folder := range []string{"action", "cmd", "pkg", "tekton"} {
		if err := os.CopyFS(filepath.Join(s.dir, folder), os.DirFS("../../"+folder)); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile("../../" + file)
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(file, string(data))
	}
	for _, path := range files(s.t, s.dir+"/.github/workflows/*.yml") {
		data, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, pinnedUse.ReplaceAll(data, []byte("./$1")), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.env = map[string]string{}
	for _, variable := range []string{"GOCACHE", "GOMODCACHE"} {
		value, err := exec.CommandContext(s.t.Context(), "go", "env", variable).Output()
		if err != nil {
			s.t.Fatal(err)
		}
		s.env[variable] = strings.TrimSpace(string(value))
	}
	s.commit("vendored")
}

func TestTheActionOfACheckoutIsBuiltFromSource(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.vendored()
	base, head := s.change(func() { s.write("store.go", "package store // changed\n") })
	got := s.run("pull_request", "pull-request.yml", pullRequest(head, base))
	got.Check(t, map[string]string{"gate": "failure", "report": "success", "clean-up": "success"}, map[string]string{"gate.decision": "fail", "after.decision": "fail"})
	if !strings.Contains(got.Log, "building knowngood from source") {
		t.Error("the log does not say that it was built")
	}
	if comments := s.github.Comments(repository, 7); len(comments) != 1 {
		t.Errorf("comments: %+v", comments)
	}
}
