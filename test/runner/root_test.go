// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"strings"
	"syscall"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

// The root Action is a whole release around a deploy script. This one has no cluster: what
// needs one is skipped, and runs in test/journey.
func TestAReleaseRunsItsDeployScript(t *testing.T) {
	t.Parallel()
	finding := func(s *shop) { s.write("scans/clean.sarif", s.git("show", "HEAD:scans/gosec.sarif")) }
	failing := func(s *shop) { s.write("deploy.sh", "echo deploying\nexit 1\n") }
	for _, test := range []struct {
		name       string
		prepare    func(*shop)
		step       string
		decision   string
		said, kept string // what the log holds, and what it must not
		status     string // of the decision
		told       string
	}{
		{"it ships", func(*shop) {}, "success", "pass", "the secret stays", token, "success", "deployed"},
		{"the gate is closed", finding, "failure", "fail", "the gate is closed", "the secret stays", "failure", "must not ship"},
		{"the deploy fails", failing, "failure", "pass", "exited with status 1", "the secret stays", "success", "failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			test.prepare(s)
			pushed := s.commit("Change (#7)")
			s.github.AddPull(repository, github.Pull{Number: 7, Head: strings.Repeat("7", 40), MergeCommit: pushed})
			got := s.run("push", "release.yml", object{
				"ref": "refs/heads/main", "after": pushed, "head_commit": object{"id": pushed, "tree_id": s.git("rev-parse", "HEAD^{tree}")},
			})
			got.Check(t, map[string]string{"release": test.step, "after": "success"},
				map[string]string{"release.decision": test.decision, "after.decision": test.decision})
			if !strings.Contains(got.Log, test.said) || strings.Contains(got.Log, test.kept) {
				t.Errorf("the log: %q must be in it, %q must not", test.said, test.kept)
			}
			comments := s.github.Comments(repository, 7)
			if len(comments) != 1 || !strings.Contains(comments[0].Body, test.told) {
				t.Errorf("comments: %+v", comments)
			}
			if statuses := s.github.Statuses(repository, pushed); len(statuses) == 0 || statuses[0].State != test.status {
				t.Errorf("statuses: %+v", statuses)
			}
		})
	}
}

// A workflow that is cancelled in a deploy step of its own still says how the deploy ended, and
// tells it.
func TestADeployThatIsCancelledIsTold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.write("deploy.sh", "echo it is being deployed\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.1; done\n")
	pushed := s.commit("Change (#7)")
	s.github.AddPull(repository, github.Pull{Number: 7, Head: strings.Repeat("7", 40), MergeCommit: pushed})
	r := s.job("push", "deploy.yml", object{"ref": "refs/heads/main", "after": pushed, "head_commit": object{"id": pushed}}).Start(t)
	r.Await("it is being deployed")
	r.Signal(syscall.SIGINT)
	got := r.Wait()
	got.Check(t, map[string]string{"start": "success", "deploy": "failure", "finish": "success", "report": "success"}, nil)
	if got.Job == "success" || got.Exit == 0 {
		t.Errorf("job %q, exit status %d", got.Job, got.Exit)
	}
	comments := s.github.Comments(repository, 7)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "deploy failed") {
		t.Errorf("comments: %+v", comments)
	}
}
