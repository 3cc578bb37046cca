// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/test/github"
)

// TestTektonReleases takes the shop through releases on a real Tekton, by the files and the sample
// that a stranger finds, each Task under its own ServiceAccount.
func TestTektonReleases(t *testing.T) {
	s := visit(t)
	t.Run("the webhook accepts every sample", s.samples)
	t.Run("no account may more than was declared", s.permissions)
	t.Run("the clean commit ships", s.ships)
	t.Run("the Action tells the same record alike", s.alike)
	t.Run("each Task passes its own test", s.tests)
	t.Run("the injection is stopped", s.stopped)
	t.Run("a deploy that fails is told", s.failed)
	t.Run("a cancelled run leaves nothing frozen", s.cancelled)
	t.Run("a killed step leaves nothing frozen", s.killed)
}

// within lets a subtest fail by itself.
func (s stranger) within(t *testing.T) stranger {
	t.Helper()
	return stranger{s.Journey, t}
}

func (s stranger) samples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(s.Root, "tekton/*/*/samples/*.yaml"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	tests, err := filepath.Glob(filepath.Join(s.Root, "tekton/*/*/tests/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"create", "--dry-run=server"}
	for _, path := range append(files, tests...) {
		args = append(args, "-f", path)
	}
	s.within(t).kubernetes(args...)
}

// permissions asks for what would be most useful to a thief. That the rules suffice is what the
// releases show.
func (s stranger) permissions(t *testing.T) {
	s = s.within(t)
	asked := struct {
		metav1.TypeMeta `json:",inline"`
		Items           []authorization.SubjectAccessReview `json:"items"`
	}{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}}
	for _, task := range []string{"gate", "snapshot", "rotate-prepare", "deploy-start", "deploy-finish", "rotate-prove", "report"} {
		for _, wish := range []authorization.ResourceAttributes{
			{Verb: "get", Resource: "secrets"},
			{Verb: "create", Resource: "pods"},
			{Verb: "delete", Resource: "persistentvolumeclaims"},
			{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
			{Verb: "list", Resource: "nodes"},
		} {
			wish.Namespace = s.Namespace
			asked.Items = append(asked.Items, authorization.SubjectAccessReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
				Spec: authorization.SubjectAccessReviewSpec{
					User: "system:serviceaccount:" + s.Namespace + ":knowngood-" + task, ResourceAttributes: &wish,
				},
			})
		}
	}
	path := filepath.Join(t.TempDir(), "asked.json")
	data, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(strings.NewReader(s.kubernetes("create", "-f", path, "-o", "json")))
	for range asked.Items {
		var answer authorization.SubjectAccessReview
		if err := answers.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed || answer.Spec.User == "" {
			t.Errorf("%s may %v", answer.Spec.User, answer.Spec.ResourceAttributes)
		}
	}
}

// assertRan compares the TaskRuns with what was to run, and each one's account.
func (s stranger) assertRan(t *testing.T, end told, want ...string) {
	t.Helper()
	got := slices.Sorted(maps.Keys(end.tasks))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tasks that ran (-want +got):\n%s", diff)
	}
	for name, run := range end.tasks {
		account := map[string]string{"deploy": "deploy", "report-failed-deploy": "knowngood-report"}[name]
		if account == "" {
			account = "knowngood-" + name
		}
		if run.Spec.ServiceAccountName != account {
			t.Errorf("task %s ran as %s", name, run.Spec.ServiceAccountName)
		}
		if run.Status.GetCondition("Succeeded").IsFalse() {
			t.Logf("task %s:\n%s", name, s.logs(run))
		}
	}
}

func (s stranger) ships(t *testing.T) {
	s = s.within(t)
	end := s.await(s.release("source", s.values("clean", 7, map[string]string{"environment": "demo", "run-url": dashboard})))
	s.assertRan(t, end, "gate", "snapshot", "rotate-prepare", "deploy-start", "deploy", "deploy-finish", "rotate-prove", "report")
	if !end.Status.GetCondition("Succeeded").IsTrue() {
		t.Fatal(end.Status.GetCondition("Succeeded").GetMessage())
	}
	got := map[string]string{}
	for _, result := range end.Status.Results {
		got[result.Name] = result.Value.StringVal
	}
	for name, want := range map[string]string{
		"run": string(end.UID), "decision": "pass", "consistency": "application", "rotated": "db,shop", "proved": "db,shop",
	} {
		if got[name] != want {
			t.Errorf("result %s is %q, want %q", name, got[name], want)
		}
	}
	if taken := results(end.tasks["snapshot"])["snapshots"]; taken == "" || taken != got["snapshots"] ||
		s.kubernetes("get", "volumesnapshot", taken, "-o", `jsonpath={.status.readyToUse} {.metadata.labels.knowngood\.dev/commit}`) != "true "+s.Commits["clean"].Label() {
		t.Errorf("snapshots %q", taken)
	}
	s.signable(t, end)
	comment, statuses := s.conversation(7, "clean")
	if !strings.Contains(comment, s.Commits["clean"].Short()[:7]) || !strings.Contains(comment, got["snapshots"]) {
		t.Errorf("comment:\n%s", comment)
	}
	if got["comment"] == "" || statuses["knowngood/gate"] != "success" {
		t.Errorf("comment at %q, statuses %v", got["comment"], statuses)
	}
}

func (s stranger) stopped(t *testing.T) {
	s = s.within(t)
	before, err := s.Touchable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end := s.await(s.release("injection", s.values("injection", 8, nil)))
	s.assertRan(t, end, "gate", "report")
	if !end.Status.GetCondition("Succeeded").IsFalse() {
		t.Error("the release with the injection succeeded")
	}
	if got := results(end.tasks["gate"]); got["decision"] != "fail" || got["blocking"] != "1" {
		t.Errorf("results of the gate: %v", got)
	}
	if after, err := s.Touchable(t.Context()); err != nil || after != before {
		t.Errorf("the cluster was touched: %v\n%s\nthen\n%s", err, before, after)
	}
	comment, statuses := s.conversation(8, "injection")
	if !strings.Contains(comment, "G202") || statuses["knowngood/gate"] != "failure" {
		t.Errorf("statuses %v, comment:\n%s", statuses, comment)
	}
}

// failed has the report and the word about the deploy in one pod, by their StepActions.
func (s stranger) failed(t *testing.T) {
	s = s.within(t)
	end := s.await(s.release("broken", s.values("clean", 7, map[string]string{"when": "never", "environment": "broken"})))
	s.assertRan(t, end, "gate", "snapshot", "rotate-prepare", "deploy-start", "deploy", "report-failed-deploy")
	last := end.tasks["report-failed-deploy"]
	if !last.Status.GetCondition("Succeeded").IsTrue() {
		t.Errorf("report-failed-deploy: %s", last.Status.GetCondition("Succeeded").GetMessage())
	}
	comments := s.comments(7)
	if i := slices.IndexFunc(comments, func(c string) bool { return strings.Contains(c, "broken") }); i < 0 || !strings.Contains(comments[i], "failed") {
		t.Errorf("no comment tells that the deploy failed:\n%s", strings.Join(comments, "\n----\n"))
	}
}

// cancelled ends a run while the database is in backup mode.
func (s stranger) cancelled(t *testing.T) {
	s = s.within(t)
	name := s.release("source", s.values("clean", 7, map[string]string{"snapshot-class": s.Namespace + "-slow", "environment": "cancelled"}))
	s.until("the database is held", func() bool { return s.held() > 0 })
	s.kubernetes("patch", "pipelinerun", name, "--type=merge", "-p", `{"spec":{"status":"CancelledRunFinally"}}`)
	began := time.Now()
	s.until("the database is let go", func() bool { return s.held() == 0 })
	t.Logf("let go after %.1f s", time.Since(began).Seconds())
	end := s.await(name)
	s.assertRan(t, end, "gate", "snapshot", "report")
	if reason := end.Status.GetCondition("Succeeded").GetReason(); reason != "Cancelled" {
		t.Errorf("the run ended as %s", reason)
	}
	left := s.kubernetes("get", "volumesnapshots", "-l", "knowngood.dev/run="+string(end.UID), "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.deletionTimestamp}{end}`)
	if left != "" && !strings.Contains(left, "Z") {
		t.Errorf("half a snapshot is left: %s", left)
	}
}

// killed takes the step away without a word: the session ends with the stream of its exec.
func (s stranger) killed(t *testing.T) {
	s = s.within(t)
	name := s.task("snapshot", s.values("clean", 7, map[string]string{"snapshot-class": s.Namespace + "-slow", "environment": "killed"}))
	s.until("the database is held", func() bool { return s.held() > 0 })
	s.kubernetes("delete", "pod", "-l", "tekton.dev/taskRun="+name, "--grace-period=0", "--force")
	began := time.Now()
	s.until("the database is let go", func() bool { return s.held() == 0 })
	t.Logf("let go after %.1f s", time.Since(began).Seconds())
}

// held counts knowngood's sessions in the database: one of them is backup mode.
func (s stranger) held() int {
	s.t.Helper()
	return len(strings.Fields(s.kubernetes("exec", "db-0", "--", "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
		"--dbname=postgres", "--command=select pid from pg_stat_activity where application_name = 'knowngood'")))
}

// until asks again and again, at most two minutes.
func (s stranger) until(what string, done func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("not after two minutes: %s\n%s", what, s.kubernetes("get", "taskruns,pods"))
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// A written repository is what the fake GitHub was told of a repository.
type written struct {
	Comments []github.Comment
	Statuses []github.Status
}

// state asks the fake GitHub through the API server.
func (s stranger) state() written {
	s.t.Helper()
	var state struct{ Repositories map[string]written }
	s.get(&state, "get", "--raw", "/api/v1/namespaces/"+s.github()+"/services/https:github:443/proxy/_fake/state")
	return state.Repositories[Repository]
}

func (s stranger) comments(number int) []string {
	s.t.Helper()
	var all []string
	for _, comment := range s.state().Comments {
		if comment.Issue == number {
			all = append(all, comment.Body)
		}
	}
	return all
}

// conversation returns the one comment of a pull request, and the states of a commit.
func (s stranger) conversation(number int, commit string) (string, map[string]string) {
	s.t.Helper()
	comments := s.comments(number)
	if len(comments) != 1 {
		s.t.Fatalf("%d comments on pull request %d", len(comments), number)
	}
	states := map[string]string{}
	for _, status := range s.state().Statuses {
		if status.Commit == string(s.Commits[commit]) {
			states[status.Context] = status.State
		}
	}
	return comments[0], states
}
