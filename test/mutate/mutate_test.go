// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is how many conditions are turned where KNOWNGOOD_SOAK does not ask for all of them.
const sample = 24

// TestPolicyNoticesEveryCondition turns conditions of pkg/policy, which decides about releases:
// for each, a test of that package must fail. testdata/policy.txt lists those that change
// nothing when they are turned, each with the reason; all others must be noticed.
func TestPolicyNoticesEveryCondition(t *testing.T) {
	t.Parallel()
	folder, err := filepath.Abs("../../pkg/policy")
	if err != nil {
		t.Fatal(err)
	}
	binary, mutants := build(t, folder, "policy")
	if output, killed := turned(t.Context(), folder, binary, -1); killed {
		t.Fatalf("with no condition turned the tests fail:\n%s", output)
	}
	same := equivalent(t, mutants)
	chosen := choose(t, len(mutants))
	began := time.Now()
	survivors := survivorsOf(t, folder, binary, mutants, chosen, same)
	listed := 0
	for _, n := range chosen {
		if same[mutants[n].String()] {
			listed++
		}
	}
	t.Logf("%d of %d conditions turned in %v: %d noticed, %d survive, %d listed as changing nothing",
		len(chosen), len(mutants), time.Since(began).Round(time.Second), len(chosen)-listed-len(survivors), len(survivors), listed)
	for _, n := range survivors {
		t.Errorf("%s:%d: no test notices when this is turned (%s): %s", mutants[n].File, mutants[n].Line, mutants[n].How, mutants[n].Text)
	}
}

// choose returns the numbers of all mutants for a soak, and else a sample by seed.
func choose(t *testing.T, n int) []int {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("KNOWNGOOD_SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("KNOWNGOOD_SOAK_SEED: %v", err)
		}
	}
	all := rand.New(rand.NewPCG(seed, 0)).Perm(n)
	if os.Getenv("KNOWNGOOD_SOAK") == "" {
		t.Logf("a sample of %d by seed %d; all of them with KNOWNGOOD_SOAK=1", sample, seed)
		all = all[:sample]
	}
	return all
}

// build instruments the package and compiles its tests.
func build(t *testing.T, folder, pkg string) (binary string, mutants []Mutant) {
	t.Helper()
	scratch := t.TempDir()
	replace := map[string]string{}
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	put := func(name, text string) {
		place := filepath.Join(scratch, name)
		if err := os.WriteFile(place, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(folder, name)] = place
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Instrument(filepath.Base(file), string(source), &mutants)
		if err != nil {
			t.Fatal(err)
		}
		put(filepath.Base(file), text)
	}
	put("mutant_support.go", Support(pkg))
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(plan, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(scratch, "tests")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", plan, "-o", binary, ".")
	compile.Dir = folder
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build the tests: %v\n%s", err, output)
	}
	return binary, mutants
}

// turned runs the tests with one condition turned; killed is true when they notice. One that
// never ends is noticed as well.
func turned(ctx context.Context, folder, binary string, n int) (output []byte, killed bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, binary, "-test.short", "-test.failfast", "-test.timeout=60s")
	run.Dir = folder
	run.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(n), "GOMAXPROCS=1", "GOMEMLIMIT=512MiB")
	output, err := run.CombinedOutput()
	return output, err != nil
}

func survivorsOf(t *testing.T, folder, binary string, mutants []Mutant, chosen []int, same map[string]bool) []int {
	t.Helper()
	var mu sync.Mutex
	var survivors []int
	work := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := range work {
				if same[mutants[n].String()] {
					continue
				}
				if _, killed := turned(t.Context(), folder, binary, n); !killed {
					t.Logf("%s:%d survives: %s: %s", mutants[n].File, mutants[n].Line, mutants[n].How, mutants[n].Text)
					mu.Lock()
					survivors = append(survivors, n)
					mu.Unlock()
				}
			}
		})
	}
	for _, n := range chosen {
		work <- n
	}
	close(work)
	workers.Wait()
	slices.Sort(survivors)
	return survivors
}

// equivalent reads the list of mutants that change nothing: "FILE: HOW: CONDITION", with the
// reason on the lines before it that begin with "#". One that is there no more is an error.
func equivalent(t *testing.T, mutants []Mutant) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/policy.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range mutants {
		known[m.String()] = true
	}
	same := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case !known[line]:
			t.Errorf("testdata/policy.txt: no such condition: %s", line)
		default:
			same[line] = true
		}
	}
	return same
}

func TestInstrument(t *testing.T) {
	t.Parallel()
	const source = `package p

const c = 1 < 2

func f(a, b int, ok bool) bool {
	if a < b && (ok ||
		b == 3) {
		return a != b
	}
	switch {
	case !ok:
	}
	switch a {
	case 3:
	}
	for ok {
	}
	return ok
}
`
	var mutants []Mutant
	got, err := Instrument("p.go", source, &mutants)
	if err != nil {
		t.Fatal(err)
	}
	const want = `package p

const c = 1 < 2

func f(a, b int, ok bool) bool {
	if mutantNot(0, mutantAnd(3, mutantNot(1, mutantLess(4, false, a , b)) , func() bool { return ( mutantNot(2, (mutantOr(7, mutantNot(5, ok) , func() bool { return (
		mutantNot(6, b == 3)) }))) ) })) {
		return mutantNot(8, a != b)
	}
	switch {
	case mutantNot(9, !ok):
	}
	switch a {
	case 3:
	}
	for mutantNot(10, ok) {
	}
	return ok
}
`
	squeeze := func(text string) string { return strings.Join(strings.Fields(text), "") }
	if squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(mutants) == 0 || mutants[0].String() != "p.go: not: a < b && (ok || b == 3)" || mutants[0].Line != 6 {
		t.Errorf("mutants %v", mutants)
	}
}
