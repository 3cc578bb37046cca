// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bareCluster is an API server as far as init and a release without volumes and certificates
// ask: it has neither, and it grants everything.
func bareCluster(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{
			"/version":                       `{"major": "1", "minor": "34", "gitVersion": "v1.34.0"}`,
			"/api":                           `{"kind": "APIVersions", "versions": ["v1"]}`,
			"/apis":                          `{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}`,
			"/api/v1/namespaces/shop":        `{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}}`,
			"/api/v1/namespaces/kube-system": `{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": "6f1c2a44"}}`,
			"/apis/authorization.k8s.io/v1/subjectaccessreviews": `{"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": {"allowed": true}}`,
		}
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	config, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []object{{"name": "c", "cluster": object{"server": server.URL}}},
		"users":    []object{{"name": "u", "user": object{}}},
		"contexts": []object{{"name": "x", "context": object{"cluster": "c", "user": "u", "namespace": "shop"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// initiated runs knowngood init in the repository, as a person does who takes what is proposed.
func (s *shop) initiated(kubeconfig string) {
	s.t.Helper()
	binary, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "knowngood")
	if err := os.WriteFile(path, binary, 0o700); err != nil {
		s.t.Fatal(err)
	}
	command := exec.CommandContext(s.t.Context(), path, "init", "--yes")
	command.Dir, command.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "KUBECONFIG=" + kubeconfig}
	if output, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("init: %v\n%s", err, output)
	}
}

// standins returns a folder with a gosec that finds what lies in scans, and a kubectl that does
// nothing.
func standins(t *testing.T, scan string) string {
	t.Helper()
	folder := t.TempDir()
	for name, script := range map[string]string{
		"gosec":   "cp scans/" + scan + ".sarif gosec.sarif\necho \"gosec $*\"\n",
		"kubectl": "echo \"kubectl $*\"\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestWhatInitWroteRuns runs the workflow that init writes as it is. The scanner and kubectl are
// stand-ins on the PATH.
func TestWhatInitWroteRuns(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, ours := range []string{".github", ".knowngood.yaml"} {
		if err := os.RemoveAll(filepath.Join(s.dir, ours)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "k8s"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("go.mod", "module shop\n")
	s.write("k8s/kustomization.yaml", "")
	kubeconfig := bareCluster(t)
	s.initiated(kubeconfig)
	pushed := s.commit("Begin with knowngood")
	s.github.AddCommits(repository, pushed)
	s.env = map[string]string{"KUBECONFIG": kubeconfig, "PATH": standins(t, "clean") + ":" + os.Getenv("PATH")}
	got := s.run("push", "release.yml", object{
		"ref": "refs/heads/main", "after": pushed, "head_commit": object{"id": pushed, "tree_id": s.git("rev-parse", "HEAD^{tree}")},
	})
	if got.Job != "success" || !strings.Contains(got.Log, "kubectl apply -k k8s") || !strings.Contains(got.Summary, "deployed") {
		t.Errorf("job %s, summary %.300q", got.Job, got.Summary)
	}
	if statuses := s.github.Statuses(repository, pushed); len(statuses) == 0 || statuses[0].State != "success" {
		t.Errorf("statuses: %+v", statuses)
	}
	base, head := s.change(func() { s.write("scans/clean.sarif", s.git("show", "HEAD:scans/gosec.sarif")) })
	s.hosted(base)
	judged := s.run("pull_request", "gate.yml", pullRequest(head, base))
	judged.Check(t, map[string]string{"gate": "failure"}, map[string]string{"gate.decision": "fail"})
	if comments := s.github.Comments(repository, 7); len(comments) != 1 || !strings.Contains(comments[0].Body, "must not ship") {
		t.Errorf("comments: %+v", comments)
	}
	if !strings.Contains(judged.Log, "uploaded knowngood.sarif") {
		t.Error("code scanning is told nothing")
	}
	queued := s.run("merge_group", "gate.yml", object{"merge_group": object{"head_sha": head, "base_sha": base}})
	queued.Check(t, map[string]string{"gate": "failure"}, map[string]string{"gate.decision": "fail"})
	if statuses := s.github.Statuses(repository, head); len(statuses) == 0 || statuses[0].State != "failure" {
		t.Errorf("statuses of the queue: %+v", statuses)
	}
}
