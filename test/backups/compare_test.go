// SPDX-License-Identifier: Apache-2.0

package backups

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the comparison is told by its environment: how many MB the mixed tree has, how often all
// is measured, and where the other programs lie. make soak builds them.
const (
	sizeSwitch   = "KNOWNGOOD_COMPARE"
	roundsSwitch = "KNOWNGOOD_COMPARE_ROUNDS"
	treesSwitch  = "KNOWNGOOD_COMPARE_TREES"
	kopiaSwitch  = "KNOWNGOOD_TEST_KOPIA"
	resticSwitch = "KNOWNGOOD_TEST_RESTIC"
)

// judged is from how many MB on the goals are held: below, starting a program weighs more.
const judged = 400

// TestCompare saves each tree, saves it again after one part in a hundred of it changed, and
// restores it, by each program in turn, and prints a table. The smallest CPU time of each
// counts: what else the machine does only ever adds.
func TestCompare(t *testing.T) {
	text := os.Getenv(sizeSwitch)
	if text == "" {
		t.Skipf("set %s=2000 to compare with other programs on a mixed tree of so many MB: 25 GB of disk, minutes of CPU time; make soak does", sizeSwitch)
	}
	mb, err := strconv.Atoi(text)
	if err != nil || mb < 1 {
		t.Fatalf("%s=%s: want a number of MB", sizeSwitch, text)
	}
	rounds := 2
	if text := os.Getenv(roundsSwitch); text != "" {
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	engines := contenders(t)
	for _, one := range trees() {
		if wanted := os.Getenv(treesSwitch); wanted != "" && !strings.Contains(wanted, one.name) {
			continue
		}
		found := results{}
		for round := range rounds {
			measure(t, one, int64(mb)*1e6, uint64(round), engines, found)
		}
		t.Log(found.table(fmt.Sprintf("%s, %d MB, %d rounds", one.name, one.share(int64(mb)*1e6)/1e6, rounds), engines))
		found.judge(t, one.name, mb)
	}
}

// contenders are the programs that are there; those that nobody named are left out, and said to be.
func contenders(t *testing.T) []engine {
	t.Helper()
	program := filepath.Join(t.TempDir(), "knowngood")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, "../../cmd/knowngood")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	all := []engine{knowngood(program)}
	for _, other := range []struct {
		variable string
		engine   func(string) engine
	}{{kopiaSwitch, kopia}, {resticSwitch, restic}} {
		if path := os.Getenv(other.variable); path != "" {
			all = append(all, other.engine(path))
		} else {
			t.Logf("LEFT OUT: %s names no program", other.variable)
		}
	}
	return append(all, archive())
}

// Kinds of work, in the order in which they are measured.
var works = []string{"full save", "save after 1%", "restore"}

// results are the costs of each work by each engine, one a round.
type results map[string]map[string][]cost

func (r results) add(work, engine string, c cost) {
	if r[work] == nil {
		r[work] = map[string][]cost{}
	}
	r[work][engine] = append(r[work][engine], c)
}

// measure runs one round: each work by each engine, beginning with another one each round.
func measure(t *testing.T, tree tree, mixed int64, round uint64, engines []engine, found results) {
	t.Helper()
	top := t.TempDir()
	if !tree.stays() {
		defer os.RemoveAll(top)
	}
	folder, g, bytes := filepath.Join(top, "tree"), newGenerator(round+1), tree.share(mixed)
	check(t, os.MkdirAll(folder, 0o755))
	check(t, tree.make(g, folder, bytes))
	turn := slices.Concat(engines[int(round)%len(engines):], engines[:int(round)%len(engines)])
	for i := range turn {
		turn[i].home = filepath.Join(top, fmt.Sprint("engine", i))
		check(t, os.MkdirAll(turn[i].home, 0o755))
		_, err := turn[i].run(t.Context(), turn[i].begin(turn[i]))
		check(t, err)
	}
	for _, work := range works {
		if work == works[1] {
			check(t, tree.change(g, folder, bytes))
		}
		for _, e := range turn {
			to := filepath.Join(top, "restored-"+filepath.Base(e.home))
			found.add(work, e.name, perform(t, e, work, folder, to))
			if !tree.stays() {
				check(t, os.RemoveAll(to))
			}
		}
	}
}

// perform does one work, and proves a restore by the bytes of every file.
func perform(t *testing.T, e engine, work, folder, to string) cost {
	t.Helper()
	before, err := size(e.repository())
	check(t, err)
	commands := e.save(e, folder)
	if work == "restore" {
		commands = e.restore(e, to)
	}
	took, err := e.run(t.Context(), commands)
	check(t, err)
	after, err := size(e.repository())
	check(t, err)
	took.Stored = float64(after-before) / 1e6
	if work == "restore" {
		took.Stored = 0
		at := to
		if e.name == "restic" {
			at = filepath.Join(to, folder)
		}
		check(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			inside, err := filepath.Rel(folder, path)
			if err != nil {
				return err
			}
			return same(path, filepath.Join(at, inside))
		}))
	}
	return took
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// best returns the smallest of each figure.
func (r results) best(work, engine string) cost {
	least := cost{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
	for _, c := range r[work][engine] {
		least = cost{min(least.CPU, c.CPU), min(least.Wall, c.Wall), min(least.Peak, c.Peak), min(least.Stored, c.Stored)}
	}
	return least
}

func (r results) table(title string, engines []engine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", title)
	for _, work := range works {
		fmt.Fprintf(&b, "%-14s %10s %10s %10s %10s %10s\n", work, "cpu s", "wall s", "peak MB", "stored MB", "x ours")
		ours := r.best(work, "knowngood").CPU
		for _, e := range engines {
			c := r.best(work, e.name)
			fmt.Fprintf(&b, "  %-12s %10.2f %10.2f %10.0f %10.1f %10.2f\n", e.name, c.CPU, c.Wall, c.Peak, c.Stored, c.CPU/ours)
		}
	}
	return b.String()
}

// judge holds the figures to the goals of the project.
func (r results) judge(t *testing.T, name string, mb int) {
	t.Helper()
	if mb < judged {
		t.Logf("below %d MB the goals are not held", judged)
		return
	}
	const slack = 1.05 // what two rounds on one machine differ by
	most := func(what string, got, limit float64) {
		t.Helper()
		if got > limit && !math.IsInf(limit, 1) {
			t.Errorf("%s: %s is %.2f, the goal is at most %.2f", name, what, got, limit)
		}
	}
	for _, work := range works[:2] {
		ours := r.best(work, "knowngood")
		most(work+", cpu against kopia", ours.CPU, slack*r.best(work, "kopia").CPU)
		most(work+", cpu against restic", ours.CPU, r.best(work, "restic").CPU)
		most(work+", memory", ours.Peak, 250)
	}
	most("growth against restic", r.best(works[1], "knowngood").Stored, slack*r.best(works[1], "restic").Stored)
	restored := r.best("restore", "knowngood")
	most("restore, memory", restored.Peak, 300)
	if name == smallFiles {
		most("restore, cpu against restic", restored.CPU, r.best("restore", "restic").CPU)
	}
}
