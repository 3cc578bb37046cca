// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

type object = map[string]any

// pullRequest is the payload of a pull request, as far as anybody reads it.
func pullRequest(head, base string) object {
	return object{
		"action": "synchronize", "number": 7,
		"pull_request": object{"number": 7, "head": object{"ref": "change", "sha": head}, "base": object{"ref": "main", "sha": base}},
	}
}

// change makes a pull request out of what write leaves, and returns its base and its head.
func (s *shop) change(write func()) (base, head string) {
	s.t.Helper()
	base = s.git("rev-parse", "main")
	s.git("checkout", "-q", "-b", "change")
	write()
	head = s.commit("change")
	s.github.AddPull(repository, github.Pull{Number: 7, Head: head, Base: "main"})
	return base, head
}

func TestAPullRequestIsJudgedAndTold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	base, head := s.change(func() { s.write("store.go", "package store // changed\n") })
	got := s.run("pull_request", "pull-request.yml", pullRequest(head, base))
	got.Check(t, map[string]string{"gate": "failure", "report": "success", "after": "success", "clean-up": "success"}, map[string]string{
		"gate.decision": "fail", "gate.risk": "high", "gate.findings": "1", "gate.blocking": "1", "gate.run": "1.1",
		"after.decision": "fail", // a later step sees the outputs of the one that failed
	})
	comments := s.github.Comments(repository, 7)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, head[:12]) || got.Outputs["report.comment"] == "" {
		t.Errorf("comments: %+v", comments)
	}
	if statuses := s.github.Statuses(repository, head); len(statuses) == 0 || statuses[0].State != "failure" {
		t.Errorf("statuses of the head: %+v", statuses)
	}
	// The check run points the finding out, and nothing else does.
	if runs := s.github.CheckRuns(repository, head); len(runs) != 1 || len(runs[0].Annotations) != 1 || len(got.Places) != 0 {
		t.Errorf("check runs %+v, annotations by the job at %v", runs, got.Places)
	}
	if !strings.Contains(got.Summary, "must not ship") || len(got.Marks) == 0 || !strings.HasPrefix(got.Marks[0], "error: the gate is closed") {
		t.Errorf("summary %.200q, annotations %q", got.Summary, got.Marks)
	}
	if strings.Contains(got.Log, token) {
		t.Error("the log tells the token")
	}
	if left, err := filepath.Glob(s.artifacts + "/knowngood/*"); err != nil || len(left) != 1 {
		t.Errorf("artifacts: %v, %v", left, err)
	}
}

// A pull request that changes the rules by which it is judged changes nothing: not by a waiver
// of its own finding, not by inputs, not by a command.
func TestAPullRequestCannotChooseItsOwnRules(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"waives its own finding": "gate:\n  waivers:\n    - rule: G202\n      owner: mallory@example.org\n      reason: trust me\n      expires: 2099-01-01\n",
		"asks for audit":         "inputs:\n  mode: audit\n  catalog: /nowhere\n",
		"adds a hook command":    "hooks:\n  - command: touch /tmp/knowngood-was-here\n",
		"is no configuration":    "{",
	} {
		for _, where := range []string{"the checkout has the base", "GitHub alone has the base"} {
			if where == "GitHub alone has the base" && name != "waives its own finding" {
				continue // where the bytes come from does not depend on them
			}
			t.Run(name+"; "+where, func(t *testing.T) {
				t.Parallel()
				s := newShop(t)
				base, head := s.change(func() { s.write(".knowngood.yaml", config) })
				if where != "the checkout has the base" {
					s.forget(base)
				}
				got := s.run("pull_request", "pull-request.yml", pullRequest(head, base))
				got.Check(t, map[string]string{"gate": "failure", "report": "success"}, map[string]string{"gate.decision": "fail", "gate.blocking": "1"})
				if !strings.Contains(strings.Join(got.Marks, "\n"), "changes to the configuration take effect after the merge") {
					t.Errorf("annotations: %q", got.Marks)
				}
				comments := s.github.Comments(repository, 7)
				if len(comments) != 1 || !strings.Contains(comments[0].Body, "effective after the merge") {
					t.Errorf("comments: %+v", comments)
				}
			})
		}
	}
}

// forget makes the checkout as shallow as actions/checkout does: the head alone. The file as
// of the base is GitHub's to tell.
func (s *shop) forget(base string) {
	s.t.Helper()
	s.hosted(base)
	s.git("checkout", "-q", "--orphan", "shallow")
	s.git("commit", "-q", "-m", "test merge")
	s.git("branch", "-q", "-D", "main", "change")
	s.git("reflog", "expire", "--expire=now", "--all")
	s.git("gc", "-q", "--prune=now")
}

// hosted lets GitHub have a commit's configuration.
func (s *shop) hosted(commit string) {
	s.github.AddFile(repository, commit, ".knowngood.yaml", s.git("show", commit+":.knowngood.yaml")+"\n")
}

// Where the base cannot be read nothing is decided.
func TestNoBaseNoDecision(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	_, head := s.change(func() { s.write("store.go", "package store // changed\n") })
	got := s.run("pull_request", "pull-request.yml", pullRequest(head, strings.Repeat("d", 40)))
	got.Check(t, map[string]string{"gate": "failure"}, map[string]string{"gate.decision": "", "after.decision": ""})
	if !strings.Contains(strings.Join(got.Marks, "\n"), "configuration of the base") {
		t.Errorf("annotations: %q", got.Marks)
	}
}

// After a squash the pushed commit is none of the pull request's; it gets the comment although
// it is closed, and its head stands in the record.
func TestADeployAfterASquashIsToldOnThePullRequest(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	merged := s.commit("Change (#7)")
	head := strings.Repeat("7", 40)
	s.github.AddPull(repository, github.Pull{Number: 7, Head: head, MergeCommit: merged})
	tree := s.git("rev-parse", merged+"^{tree}")
	got := s.run("push", "deploy.yml", object{
		"ref": "refs/heads/main", "after": merged, "head_commit": object{"id": merged, "tree_id": tree},
	})
	got.Check(t, map[string]string{
		"setup": "success", "gate": "success", "start": "success", "deploy": "success", "finish": "success", "history": "success", "report": "success",
	}, map[string]string{"gate.decision": "pass", "setup.version": "dev"})
	if !strings.Contains(got.Log, "deployed "+merged) {
		t.Error("the deploy has not run")
	}
	comments := s.github.Comments(repository, 7)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, merged[:12]) || !strings.Contains(comments[0].Body, head[:12]) {
		t.Errorf("comments of the closed pull request: %+v", comments)
	}
	if statuses := s.github.Statuses(repository, merged); len(statuses) == 0 || statuses[0].State != "success" {
		t.Errorf("statuses of the merged commit: %+v", statuses)
	}
}

// By hand and by the clock it is the branch's commit.
func TestDispatchAndScheduleAreAboutTheBranch(t *testing.T) {
	t.Parallel()
	for event, payload := range map[string]object{
		"workflow_dispatch": {"ref": "refs/heads/main", "inputs": object{}},
		"schedule":          {"schedule": "15 4 * * 1-5"},
	} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			commit := s.git("rev-parse", "HEAD")
			s.github.AddCommits(repository, commit)
			got := s.run(event, "deploy.yml", payload)
			got.Check(t, map[string]string{"gate": "success", "finish": "success", "report": "success"}, map[string]string{"gate.decision": "pass"})
			if statuses := s.github.Statuses(repository, commit); len(statuses) == 0 {
				t.Error("the branch's commit has no status")
			}
		})
	}
}

// In a merge queue the status goes to the queue's commit, by the rules of what it is merged into.
func TestAMergeQueueIsJudgedByItsBase(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	base := s.git("rev-parse", "HEAD")
	s.write(".knowngood.yaml", "inputs:\n  mode: audit\n")
	head := s.commit("queued")
	s.github.AddCommits(repository, head, base)
	got := s.run("merge_group", "merge-queue.yml", object{"merge_group": object{"head_sha": head, "base_sha": base}})
	got.Check(t, map[string]string{"gate": "failure", "report": "success"}, map[string]string{"gate.decision": "fail"})
	if statuses := s.github.Statuses(repository, head); len(statuses) == 0 || statuses[0].State != "failure" {
		t.Errorf("statuses: %+v", statuses)
	}
}

// readonly makes the token that of a fork's pull request.
func (s *shop) readonly() {
	s.github.AddToken(token, github.Token{Login: bot, App: true, Scopes: map[string]github.Access{
		"contents": github.Read, "pull-requests": github.Read, "statuses": github.Read, "checks": github.Read,
	}})
}

// A fork's token can only read, and so can Dependabot's on a branch of the repository's own: the
// run says so, keeps its exit status, and hands its record on. The second run tells it, neutral,
// and believes nothing that has a consequence.
func TestATokenThatCanOnlyReadIsToldByASecondRun(t *testing.T) {
	t.Parallel()
	for name, pull := range map[string]github.Pull{
		"a fork":     {Number: 7, Base: "main", HeadRepository: "mallory/shop"},
		"Dependabot": {Number: 7, Base: "main"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			base := s.git("rev-parse", "main")
			s.git("checkout", "-q", "-b", "change")
			s.write("store.go", "package store // changed\n")
			pull.Head = s.commit("change")
			s.github.AddPull(repository, pull)
			s.readonly()
			first := s.run("pull_request", "pull-request.yml", pullRequest(pull.Head, base))
			first.Check(t, map[string]string{"gate": "failure", "report": "success"}, map[string]string{"gate.decision": "fail"})
			if len(s.github.Comments(repository, 7)) != 0 || !strings.Contains(first.Summary, "must not ship") {
				t.Fatalf("summary %.300q", first.Summary)
			}
			s.github.AddToken(token, github.Token{Login: bot, App: true, Scopes: github.Everything()})
			s.git("checkout", "-q", "main")
			s.hosted(base)
			second := s.run("workflow_run", "pull-request-report.yml", s.followed(pull.Head))
			second.Check(t, map[string]string{"report": "success"}, nil)
			comments := s.github.Comments(repository, 7)
			if len(comments) != 1 || !strings.Contains(comments[0].Body, "not verified") {
				t.Errorf("comments: %+v", comments)
			}
			s.nothingGreen(pull.Head)
			dump, err := s.github.Dump()
			if err != nil || !strings.Contains(string(dump), `"neutral"`) {
				t.Errorf("no neutral check: %v\n%s", err, dump)
			}
		})
	}
}

func (s *shop) followed(head string) object {
	return object{"action": "completed", "workflow_run": object{
		"id": 99, "run_attempt": 1, "event": "pull_request", "head_sha": head,
		"html_url": "https://github.com/" + repository + "/actions/runs/99", "pull_requests": []any{},
	}}
}

func (s *shop) nothingGreen(head string) {
	s.t.Helper()
	dump, err := s.github.Dump()
	if err != nil || strings.Contains(string(dump), `"success"`) {
		s.t.Errorf("something is green: %v\n%s", err, dump)
	}
	if statuses := s.github.Statuses(repository, head); len(statuses) != 0 {
		s.t.Errorf("statuses: %+v", statuses)
	}
}

// An artifact that lies about its commit, that does more than a gate can, or that is no record
// is told nowhere; and one of a commit that is no open pull request's head neither.
func TestAHostileArtifactIsToldNowhere(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("9", 40)
	for name, text := range map[string]string{
		"not a record":           `{"entries": "many"}`,
		"another commit":         `{"app":"shop","environment":"none","run":"1","commit":"` + other + `","entries":[` + strings.ReplaceAll(gateEntry, "COMMIT", other) + `]}`,
		"a deploy":               `{"app":"shop","environment":"none","run":"1","commit":"COMMIT","entries":[{"format":1,"id":"01M8F6H8F0RFDBWR6A07A6BMWJ","app":"shop","environment":"none","run":"1","commit":"COMMIT","step":"deploy-finish","state":"done","began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:00Z"}]}`,
		"no open pull request's": `{"app":"shop","environment":"none","run":"1","commit":"COMMIT","entries":[` + gateEntry + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			_, head := s.change(func() { s.write("store.go", "package store // changed\n") })
			if name == "no open pull request's" {
				s.github.AddPull(repository, github.Pull{Number: 7, Head: head, Closed: true})
			}
			folder := filepath.Join(s.artifacts, "knowngood")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			text = strings.ReplaceAll(text, "COMMIT", head)
			if err := os.WriteFile(filepath.Join(folder, "record.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.git("checkout", "-q", "main")
			s.hosted(s.git("rev-parse", "main"))
			got := s.run("workflow_run", "pull-request-report.yml", s.followed(head))
			if len(got.Marks) == 0 {
				t.Error("nobody is told why")
			}
			if comments := s.github.Comments(repository, 7); len(comments) != 0 {
				t.Errorf("comments: %+v", comments)
			}
			s.nothingGreen(head)
		})
	}
}

const gateEntry = `{"format":1,"id":"01M8F6H8F0RFDBWR6A07A6BMWJ","app":"shop","environment":"none","run":"1","commit":"COMMIT","step":"gate","state":"done",` +
	`"began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:00Z","decision":{"outcome":"pass","risk":"none","mode":"enforce","reasons":["all fine"],"policy":"built-in","scans":[]}}`
