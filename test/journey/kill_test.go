// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// Switches of the kills: soak makes them many, and seed draws other moments.
const (
	soak = "KNOWNGOOD_SOAK"
	seed = "KNOWNGOOD_SOAK_SEED"
)

// Kills in a sample and in a soak, and after how many of them a release runs to its end.
const (
	sampleKills = 3
	soakKills   = 100
	wholeEvery  = 5
)

// freeWithin is how long the database may stay held after a kill: until the kubelet has seen
// that nobody listens any more.
const freeWithin = 30 * time.Second

// TestKilledAtAnyMoment kills knowngood -9 at random moments of a release, alone or with all that
// it started. Each time the database is free within seconds and takes writes, and what the record
// holds can be read; every fifth time, and at the end, the next release ships.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills, number := sampleKills, uint64(1)
	if given := os.Getenv(soak); given != "" {
		kills = soakKills
		if n, err := strconv.Atoi(given); err == nil && n > 1 {
			kills = n
		}
	}
	if given := os.Getenv(seed); given != "" {
		var err error
		if number, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	j := begin(t, "kills")
	first := j.whole(t, "before any kill")
	random, count := rand.New(rand.NewPCG(number, 0)), map[string]int{}
	for n, part := range random.Perm(kills) {
		// One moment in each of so many equal parts of a release, in any order.
		moment := (float64(part) + random.Float64()) / float64(kills) * float64(first.Took)
		a := attempt{run: fmt.Sprintf("kill-%d", n+1), after: time.Duration(moment), all: random.IntN(2) == 0}
		count[j.kill(t, a)]++
		if done := n + 1; done%wholeEvery == 0 || done == kills {
			j.whole(t, fmt.Sprintf("after %d kills", done))
		}
	}
	t.Logf("seed %d: %d kills; at the kill a release had come to: %v", number, kills, count)
	j.assertNothingIsStuck(t)
}

// whole takes a release to its end, which has to be the end of one that nobody disturbed.
func (j *Journey) whole(t *testing.T, when string) Result {
	t.Helper()
	got, err := j.Release(t.Context(), "clean")
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	t.Run("a release "+when, func(t *testing.T) {
		var steps []string
		for _, e := range got.Record.Entries {
			steps = append(steps, e.Step+" "+string(e.State))
		}
		want := "gate done, snapshot done, rotate-prepare done, deploy-start started, deploy-finish done, rotate-prove done, report done"
		if got.Status != 0 || strings.Join(steps, ", ") != want {
			t.Fatalf("exit status %d, steps %s, want %s:\n%s", got.Status, strings.Join(steps, ", "), want, got.Log)
		}
		for _, s := range got.Record.Last("snapshot").Protection.Snapshots {
			if !s.Ready || s.Consistency != release.ConsistencyApplication {
				t.Errorf("snapshot %+v", s)
			}
		}
		assertProofs(t, got)
	})
	if t.Failed() {
		t.FailNow()
	}
	return got
}

// An attempt is a release that is to be killed after a time.
type attempt struct {
	run   string
	after time.Duration
	all   bool // with all that it started, as when a container ends
}

// kill returns the last step that the killed release had recorded.
func (j *Journey) kill(t *testing.T, a attempt) string {
	t.Helper()
	cmd := j.command(t.Context(), "clean", "--run", a.run)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(a.after, func() {
		victims := []int{cmd.Process.Pid}
		if a.all {
			victims = append(victims, descendants(cmd.Process.Pid)...)
		}
		for _, pid := range victims {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
		}
	})
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("%s ended by itself: %v\n%s", a.run, err, &log)
	}
	began := time.Now()
	if err := j.free(t.Context()); err != nil {
		t.Fatalf("%s, killed after %s: %v\n%s", a.run, a.after, err, &log)
	}
	free := time.Since(began)
	last, err := j.recorded(t.Context(), a.run)
	if err != nil {
		t.Fatalf("%s, killed after %s: %v\n%s", a.run, a.after, err, &log)
	}
	t.Logf("%s: after %5.1f s, all %-5t, last recorded %-14s, free after %.1f s", a.run, a.after.Seconds(), a.all, last, free.Seconds())
	return last
}

// descendants returns the processes below one, whatever groups they are in.
func descendants(pid int) []int {
	children := map[int][]int{}
	folders, _ := os.ReadDir("/proc")
	for _, folder := range folders {
		child, err := strconv.Atoi(folder.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + folder.Name() + "/stat") // it may have ended by now
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	var below []int
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		below = append(below, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return below
}

// free waits until no session of knowngood's is on the database and it takes a write.
func (j *Journey) free(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freeWithin)
	defer cancel()
	for {
		sessions, err := j.sql(ctx, "select count(*) from pg_stat_activity where application_name = 'knowngood'")
		if err == nil && sessions == "0" {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%q sessions hold the database after %s: %w", sessions, freeWithin, err)
		}
	}
	if _, err := j.sql(ctx, "set statement_timeout = '10s'; create table if not exists soak (at timestamptz); insert into soak values (now()); checkpoint"); err != nil {
		return fmt.Errorf("the database takes no write: %w", err)
	}
	return nil
}

func (j *Journey) sql(ctx context.Context, statement string) (string, error) {
	output, err := j.Kubernetes(ctx, "exec", "db-0", "--", "psql", "-XAtq", "-d", "postgres", "-c", statement)
	return strings.TrimSpace(output), err
}

// recorded reads what a run has left and returns its last step, "nothing" where it was killed
// before its first entry.
func (j *Journey) recorded(ctx context.Context, run string) (string, error) {
	output, err := j.Knowngood(ctx, "history", "--json", "--app", "shop", "--environment", "demo", "--catalog", j.Catalog(), "--run", run)
	switch {
	case err != nil && strings.Contains(err.Error(), "no such record"):
		return "nothing", nil
	case err != nil:
		return "", err
	}
	var records []release.Record
	if err := json.Unmarshal([]byte(output), &records); err != nil {
		return "", fmt.Errorf("history of %s: %w", run, err)
	}
	if len(records) == 0 || len(records[0].Entries) == 0 {
		return "nothing", nil
	}
	return records[0].Entries[len(records[0].Entries)-1].Step, nil
}

// assertNothingIsStuck looks at what the killed releases left behind in the cluster: snapshots
// that became ready or went, Certificates that are issued, workloads that are rolled out.
func (j *Journey) assertNothingIsStuck(t *testing.T) {
	t.Helper()
	for _, look := range [][]string{
		{"get", "volumesnapshots", "-o", `jsonpath={range .items[?(@.status.readyToUse!=true)]}{.metadata.name} {end}`},
		{"get", "certificates", "-o", `jsonpath={range .items[*].status.conditions[?(@.type=="Issuing")]}{.message} {end}`},
		{"get", "pods", "-o", `jsonpath={range .items[?(@.status.phase!="Running")]}{.metadata.name} {end}`},
	} {
		deadline := time.Now().Add(time.Minute)
		for {
			stuck, err := j.Kubernetes(t.Context(), look...)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(stuck) == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: stuck: %s", look[1], stuck)
				break
			}
		}
	}
	if names, err := j.Kubernetes(t.Context(), "get", "volumesnapshots", "-l", "!knowngood.dev/commit", "-o", "name"); err != nil || names != "" {
		t.Errorf("snapshots without a commit: %q, %v", slices.Collect(strings.FieldsSeq(names)), err)
	}
}
