// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/runner"
)

// TestActionReleases takes the shop through releases by workflows as a stranger would write them,
// on a real runner: in one step, cancelled, and around a deploy step of the workflow's own.
func TestActionReleases(t *testing.T) {
	runner.Need(t)
	j := begin(t, "action-journey")
	t.Run("one step ships", func(t *testing.T) { oneStep(t, j) })
	t.Run("cancelled while the database is held", func(t *testing.T) {
		if err := j.kubectlWith(t.Context(), slowClass(j), "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		for _, c := range cancels() {
			t.Run(c.name, func(t *testing.T) { c.run(t, j) })
		}
	})
	t.Run("after all that, steps around a deploy of one's own ship", func(t *testing.T) { ownDeploy(t, j) })
}

// deployed is the stranger's own script.
func deployed(j *Journey) map[string]string {
	return map[string]string{"deploy.sh": j.DeployScript("clean")}
}

func oneStep(t *testing.T, j *Journey) {
	t.Helper()
	a := arrive(t, j, deployed(j))
	before := certificates(t, j)
	got := a.start("release.yml").Wait()
	got.Check(t, map[string]string{"release": "success", "clean-up": "success"}, map[string]string{
		"release.decision": "pass", "release.risk": "none", "release.findings": "0", "release.consistency": "application",
		"release.rotated": "db,shop", "release.proved": "db,shop", "left.files": "",
	})
	a.shipped(t, got, "release", before)
}

func ownDeploy(t *testing.T, j *Journey) {
	t.Helper()
	a := arrive(t, j, deployed(j))
	before := certificates(t, j)
	got := a.start("steps.yml").Wait()
	for _, step := range []string{"setup", "gate", "snapshot", "prepare", "start", "deploy", "finish", "prove", "history", "report", "clean-up"} {
		got.Check(t, map[string]string{step: "success"}, nil)
	}
	got.Check(t, nil, map[string]string{
		"gate.decision": "pass", "gate.risk": "none", "snapshot.consistency": "application", "prepare.rotated": "db,shop", "prove.proved": "db,shop",
		"setup.version": "dev", "left.files": "",
	})
	for _, step := range []string{"gate", "snapshot", "prepare", "start", "finish", "prove", "report"} {
		if run, record := got.Outputs[step+".run"], got.Outputs[step+".record"]; run != "1.1" || record == "" {
			t.Errorf("%s: run %q, record %q", step, run, record)
		}
	}
	a.shipped(t, got, "snapshot", before)
	if told := a.github.Deployments(Repository); len(told) != 1 || told[0].Environment != "production" || told[0].Statuses[0].State != "success" {
		t.Errorf("deployments %+v", told)
	}
}

// shipped asks the cluster and GitHub, not the log, what has become of a release.
func (a author) shipped(t *testing.T, got runner.Result, step, before string) {
	t.Helper()
	if got.Job != "success" || got.Exit != 0 {
		t.Errorf("job %q, exit status %d", got.Job, got.Exit)
	}
	names := got.Outputs[step+".snapshots"]
	taken := a.kubernetes("get", "volumesnapshots", "-l", "knowngood.dev/commit="+a.head.Label(), "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.spec.source.persistentVolumeClaimName} {.status.readyToUse}{end}`)
	if names == "" || taken != names+" data-db-0 true" {
		t.Errorf("snapshots of the commit: %q, and the output says %q", taken, names)
	}
	if after := certificates(t, a.Journey); after == before {
		t.Errorf("revisions before and after: %s", after)
	}
	comment := a.comment()
	for _, want := range []string{"deployed", a.head.Short(), names, "proved on the wire"} {
		if !strings.Contains(comment, want) {
			t.Errorf("the comment has no %q:\n%s", want, comment)
		}
	}
	for _, concern := range []string{"gate", "snapshot", "tls"} {
		if state := a.states()["knowngood/"+concern]; state != "success" {
			t.Errorf("status knowngood/%s is %q", concern, state)
		}
	}
	if !strings.Contains(got.Summary, names) || strings.Contains(got.Log, token) {
		t.Errorf("summary %.300q, or the log tells the token", got.Summary)
	}
}

// A cancel ends a job while the snapshot step holds the database in backup mode.
type cancel struct {
	name, workflow string
	// end sends a signal to the runner, or to the step's process.
	end func(a author, r *runner.Run)
	// steps are what the job comes to, and told is what the comment says.
	steps map[string]string
	told  string
}

func cancels() []cancel {
	return []cancel{
		{
			// act kills the step, so that it leaves no entry, and the report tells what it knows. GitHub's
			// own runner first asks a step to end, as the third case does.
			"the job, as a person does", "steps.yml", func(_ author, r *runner.Run) { r.Signal(syscall.SIGINT) },
			map[string]string{"snapshot": "failure", "deploy": "", "report": "success", "clean-up": "success", "left": "success"},
			"may ship",
		},
		{
			"the runner, by force", "steps.yml", func(_ author, r *runner.Run) { r.Signal(syscall.SIGTERM) },
			map[string]string{"deploy": ""},
			"",
		},
		{
			"the step, as GitHub's runner asks it", "release.yml", func(a author, r *runner.Run) { a.interrupt(r) },
			map[string]string{"release": "failure", "clean-up": "success", "left": "success"},
			"snapshot cancelled",
		},
	}
}

func (c cancel) run(t *testing.T, j *Journey) {
	t.Helper()
	files := deployed(j)
	files[".knowngood.yaml"] = "inputs:\n  snapshot-class: " + j.Namespace + "-slow\n"
	a := arrive(t, j, files)
	r := a.start(c.workflow)
	a.until("the database is held", func() bool {
		held, err := j.sql(t.Context(), "select count(*) from pg_stat_activity where application_name = 'knowngood'")
		return err == nil && held != "0"
	}, r)
	c.end(a, r)
	began := time.Now()
	if err := j.free(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("let go after %.1f s", time.Since(began).Seconds())
	got := r.Wait()
	got.Check(t, c.steps, nil)
	if got.Exit == 0 || got.Job == "success" {
		t.Errorf("job %q, exit status %d", got.Job, got.Exit)
	}
	if files := got.Outputs["left.files"]; files != "" {
		t.Errorf("left on the runner: %s", files)
	}
	if c.told != "" && !strings.Contains(a.comment(), c.told) {
		t.Errorf("the comment does not say %q:\n%s", c.told, a.comment())
	}
}

// interrupt sends SIGINT to the process of the step: it is the program itself, for the scripts
// have given their place to it.
func (a author) interrupt(r *runner.Run) {
	a.t.Helper()
	for _, pid := range descendants(r.PID()) {
		words, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline") // it may have ended by now
		if program, rest, _ := strings.Cut(string(words), "\x00"); strings.HasSuffix(program, "/knowngood") && strings.HasPrefix(rest, "release\x00") {
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				a.t.Fatal(err)
			}
			return
		}
	}
	a.t.Fatalf("no step runs knowngood:\n%s", r.Said())
}

// until asks again and again, at most two minutes and not when the job has ended.
func (a author) until(what string, done func() bool, r *runner.Run) {
	a.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(deadline) || strings.Contains(r.Said(), "Complete job") {
			a.t.Fatalf("not in two minutes, or while the job lasted: %s\n%s", what, r.Said())
		}
	}
}

func slowClass(j *Journey) string {
	return "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\nmetadata: {name: " + j.Namespace + "-slow}\n" +
		"driver: loop.csi.knowngood.test\ndeletionPolicy: Delete\nparameters: {knowngood.test/delay: 25s}\n"
}
