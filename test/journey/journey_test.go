// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// instance names the cluster of test/cluster on which the journey runs.
const instance = "KNOWNGOOD_TEST_INSTANCE"

// begin opens a shop in a namespace of the test cluster.
func begin(t testing.TB, namespace string) *Journey {
	t.Helper()
	name := os.Getenv(instance)
	if name == "" {
		t.Skipf("set %s to the name of a cluster of test/cluster (root), or run make test", instance)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := Place(t.Context(), root, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	settings.Work, settings.Namespace = t.TempDir(), namespace
	if err := settings.Own(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	j, err := Begin(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// TestTwoReleases takes the clean commit and the one with the injection through a release, on
// real parts, while a customer asks.
func TestTwoReleases(t *testing.T) {
	j := begin(t, "journey")
	serials := certificates(t, j)
	if err := j.SendCustomer(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean, err := j.Release(t.Context(), "clean")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := j.StopCustomer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the clean commit ships", func(t *testing.T) { assertShipped(t, j, clean) })
	t.Run("nobody was turned away", func(t *testing.T) {
		if asked.Failures > 0 || asked.Requests < 50 {
			t.Errorf("%d requests, %d failures: %v", asked.Requests, asked.Failures, asked.Errors)
		}
		if len(asked.Serials) < 2 {
			t.Errorf("the customer saw %d certificates, want the old and the new one", len(asked.Serials))
		}
	})
	t.Run("certificates are new", func(t *testing.T) {
		if after := certificates(t, j); after == serials {
			t.Errorf("revisions before and after: %s", after)
		}
	})
	t.Run("its own share is small", func(t *testing.T) {
		var cpu float64
		for _, e := range clean.Record.Entries {
			cpu += e.CPUSeconds
		}
		// A release's own work is far below these; they catch a leak or a busy wait. The
		// figures themselves are in the benchmarks.
		if peak := clean.Record.Entries[len(clean.Record.Entries)-1].PeakBytes; peak > 300<<20 || cpu > 10 {
			t.Errorf("%.2f s of CPU, %d MB", cpu, peak>>20)
		}
	})
	before, err := j.Touchable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	injection, err := j.Release(t.Context(), "injection")
	if err != nil {
		t.Fatal(err)
	}
	after, err := j.Touchable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the injection is stopped", func(t *testing.T) {
		assertStopped(t, j, injection)
		if before != after {
			t.Errorf("the cluster was touched:\n%s\nthen\n%s", before, after)
		}
	})
	t.Run("history has both", func(t *testing.T) {
		history, err := j.Knowngood(t.Context(), "history", "--app", "shop", "--environment", "demo", "--catalog", j.Catalog())
		if err != nil {
			t.Fatal(err)
		}
		for _, commit := range []release.Commit{clean.Commit, injection.Commit} {
			if !strings.Contains(history, string(commit[:7])) {
				t.Errorf("history does not name %s:\n%s", commit, history)
			}
		}
		for line := range strings.SplitSeq(history, "\n") {
			if len([]rune(line)) > 80 {
				t.Errorf("a line of %d columns: %s", len([]rune(line)), line)
			}
		}
	})
}

func certificates(t *testing.T, j *Journey) string {
	t.Helper()
	revisions, err := j.Kubernetes(t.Context(), "get", "certificates", "shop", "db", "-o",
		`jsonpath={range .items[*]}{.metadata.name}:{.status.revision} {end}`)
	if err != nil {
		t.Fatal(err)
	}
	return revisions
}

func assertShipped(t *testing.T, j *Journey, got Result) {
	t.Helper()
	if got.Status != 0 {
		t.Fatalf("exit status %d:\n%s", got.Status, got.Log)
	}
	var steps []string
	for _, e := range got.Record.Entries {
		steps = append(steps, e.Step+" "+string(e.State))
	}
	want := "gate done, snapshot done, rotate-prepare done, deploy-start started, deploy-finish done, rotate-prove done, report done"
	if strings.Join(steps, ", ") != want {
		t.Errorf("steps %s, want %s", strings.Join(steps, ", "), want)
	}
	if gate := got.Record.Last("gate"); gate.Decision.Outcome != release.Pass {
		t.Errorf("decision %s: %v", gate.Decision.Outcome, gate.Decision.Reasons)
	}
	assertSnapshots(t, j, got)
	assertProofs(t, got)
	if !strings.Contains(got.Comment, got.Commit.Short()[:7]) || !regexp.MustCompile(`(?i)pass`).MatchString(got.Comment) {
		t.Errorf("comment:\n%s", got.Comment)
	}
	statuses, err := j.Statuses(t.Context(), got.Commit)
	if err != nil || statuses["knowngood/gate"] != "success" {
		t.Errorf("statuses %v, %v", statuses, err)
	}
}

// assertSnapshots asks the cluster, not the record, whether the snapshots are ready and bear
// the commit.
func assertSnapshots(t *testing.T, j *Journey, got Result) {
	t.Helper()
	protection := got.Record.Last("snapshot").Protection
	if len(protection.Snapshots) != 1 {
		t.Fatalf("%d snapshots, want the database's", len(protection.Snapshots))
	}
	if c := protection.Snapshots[0].Consistency; c != release.ConsistencyApplication {
		t.Errorf("consistency %s", c)
	}
	ready, err := j.Kubernetes(t.Context(), "get", "volumesnapshots", "-l",
		"knowngood.dev/commit="+got.Commit.Label()+",app.kubernetes.io/managed-by=knowngood", "-o",
		`jsonpath={range .items[*]}{.spec.source.persistentVolumeClaimName} {.status.readyToUse}{end}`)
	if err != nil || ready != "data-db-0 true" {
		t.Errorf("snapshots with the commit's label: %q, %v", ready, err)
	}
}

func assertProofs(t *testing.T, got Result) {
	t.Helper()
	tls := got.Record.Last("rotate-prove").TLS
	proved := 0
	for _, rotation := range tls.Rotations {
		for _, proof := range rotation.Proofs {
			if !proof.Proved || proof.Serial != rotation.After.Serial {
				t.Errorf("%s: pod %s port %d serves %s: %s", rotation.Name, proof.Pod, proof.Port, proof.Serial, proof.Error)
			}
			proved++
		}
	}
	if proved != 3 {
		t.Errorf("%d proofs, want two of the shop and one of the database", proved)
	}
}

func assertStopped(t *testing.T, j *Journey, got Result) {
	t.Helper()
	if got.Status != 1 {
		t.Fatalf("exit status %d:\n%s", got.Status, got.Log)
	}
	if gate := got.Record.Last("gate"); gate == nil || gate.Decision.Outcome != release.Fail {
		t.Fatalf("record %+v", got.Record)
	}
	for _, step := range []string{"snapshot", "rotate-prepare", "deploy-start", "deploy-finish", "rotate-prove"} {
		if got.Record.Last(step) != nil {
			t.Errorf("step %s ran after a failed gate", step)
		}
	}
	for _, want := range []string{"search.go", "G202"} {
		if !strings.Contains(got.Comment, want) {
			t.Errorf("the comment does not name %s:\n%s", want, got.Comment)
		}
	}
	statuses, err := j.Statuses(t.Context(), got.Commit)
	if err != nil || statuses["knowngood/gate"] != "failure" {
		t.Errorf("statuses %v, %v", statuses, err)
	}
	if took := got.Took; took > time.Minute {
		t.Errorf("a closed gate took %s", took)
	}
}
