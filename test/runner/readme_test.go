// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

var block = regexp.MustCompile("(?ms)^```yaml\n(name: ([a-z ]+)\n.*?)^```$")

// theREADMEs returns a shop whose workflows are those of the README, as they stand there; of two
// of a name the first. The scanner and kubectl are stand-ins on the PATH.
func theREADMEs(t *testing.T, scan string) *shop {
	t.Helper()
	s := newShop(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		if !written[found[2]] {
			written[found[2]] = true
			s.write(".github/workflows/"+strings.ReplaceAll(found[2], " ", "-")+".yml", found[1])
		}
	}
	if !written["release"] || !written["gate"] || !written["gate report"] {
		t.Fatalf("the README has the workflows %v", written)
	}
	s.write(".knowngood.yaml", "inputs:\n  skip: |\n    snapshot\n    rotate\n")
	s.commit("as the README says")
	kubeconfig := bareCluster(t)
	s.env = map[string]string{"KUBECONFIG": kubeconfig, "PATH": standins(t, scan) + ":" + os.Getenv("PATH")}
	return s
}

func TestTheSmallestWorkflowOfTheREADMERuns(t *testing.T) {
	t.Parallel()
	s := theREADMEs(t, "clean")
	pushed := s.git("rev-parse", "HEAD")
	s.github.AddCommits(repository, pushed)
	got := s.run("push", "release.yml", object{
		"ref": "refs/heads/main", "after": pushed, "head_commit": object{"id": pushed, "tree_id": s.git("rev-parse", "HEAD^{tree}")},
	})
	if got.Job != "success" || !strings.Contains(got.Log, "kubectl apply -f deploy/") {
		t.Errorf("job %s", got.Job)
	}
	if statuses := s.github.Statuses(repository, pushed); len(statuses) == 0 || statuses[0].State != "success" {
		t.Errorf("statuses: %+v", statuses)
	}
}

// A pull request of a fork goes through both workflows.
func TestTheREADMEsWorkflowsTellAFork(t *testing.T) {
	t.Parallel()
	s := theREADMEs(t, "gosec")
	base, head := s.change(func() { s.write("store.go", "package store // changed\n") })
	s.github.AddPull(repository, github.Pull{Number: 7, Head: head, Base: "main", HeadRepository: "mallory/shop"})
	s.readonly()
	first := s.run("pull_request", "gate.yml", pullRequest(head, base))
	first.Check(t, map[string]string{"gate": "failure", "report": "success"}, map[string]string{"gate.decision": "fail"})
	if len(first.Places) != 1 || !strings.Contains(first.Log, "uploaded knowngood.sarif") || len(s.github.Comments(repository, 7)) > 0 {
		t.Errorf("annotations at %v", first.Places)
	}
	if !strings.Contains(first.Summary, "so the job annotates 1 of 1 findings") || len(s.github.CheckRuns(repository, head)) > 0 {
		t.Errorf("summary %s", first.Summary)
	}
	s.github.AddToken(token, github.Token{Login: bot, App: true, Scopes: github.Everything()})
	s.git("checkout", "-q", "main")
	s.hosted(base)
	second := s.run("workflow_run", "gate-report.yml", s.followed(head))
	comments := s.github.Comments(repository, 7)
	if second.Job != "success" || len(comments) != 1 || !strings.Contains(comments[0].Body, "not verified") {
		t.Errorf("job %s, comments %+v", second.Job, comments)
	}
	s.nothingGreen(head)
}

// In the merge queue the same workflow decides about what the queue would merge.
func TestTheREADMEsGateRunsInAMergeQueue(t *testing.T) {
	t.Parallel()
	s := theREADMEs(t, "clean")
	base := s.git("rev-parse", "HEAD")
	head := s.commit("queued")
	s.github.AddCommits(repository, head, base)
	s.hosted(base)
	got := s.run("merge_group", "gate.yml", object{"merge_group": object{"head_sha": head, "base_sha": base}})
	got.Check(t, map[string]string{"gate": "success", "report": "success"}, map[string]string{"gate.decision": "pass"})
}
