// SPDX-License-Identifier: Apache-2.0

package retain_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/retain"
)

var update = flag.Bool("update", false, "write the .want files anew")

var terms = retain.Terms{Proved: "proved", Refuted: "its test restore failed"}

// A case is a pair of files: NAME.copies holds rules, a zone, and a copy a line; NAME.want the
// fates.
func TestRetention(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/retention/*.copies")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no cases")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".copies"), func(t *testing.T) {
			t.Parallel()
			rules, zone, copies := readCase(t, file)
			var got strings.Builder
			for _, f := range rules.Apply(copies, zone, terms) {
				fmt.Fprintf(&got, "%-4s %-10s %-4s %s\n", map[bool]string{true: "keep", false: "drop"}[f.Keep], f.Of, f.ID, f.Why)
			}
			wanted := strings.TrimSuffix(file, ".copies") + ".want"
			if *update {
				if err := os.WriteFile(wanted, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wanted)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
		})
	}
}

func readCase(t *testing.T, file string) (rules retain.Rules, zone *time.Location, copies []retain.Copy) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zone = time.UTC
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "rules":
			_, err = fmt.Sscan(strings.Join(words[1:], " "), &rules.Last, &rules.Daily, &rules.Weekly, &rules.Monthly, &rules.Yearly)
		case words[0] == "zone":
			zone, err = time.LoadLocation(words[1])
		default:
			c := retain.Copy{ID: words[1], Of: words[0]}
			c.Taken, err = time.Parse(time.RFC3339, words[2])
			c.Proved, c.Refuted = slices.Contains(words, "proved"), slices.Contains(words, "refuted")
			c.Part = slices.Contains(words, "part")
			if slices.Contains(words, "held") {
				c.Bound = "on hold"
			}
			copies = append(copies, c)
		}
		if err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
	}
	return rules, zone, copies
}

// drawn are random copies of two volumes, some at the same moment.
func drawn(random *rand.Rand) []retain.Copy {
	copies := make([]retain.Copy, random.IntN(40))
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range copies {
		c := retain.Copy{ID: fmt.Sprintf("%04d", i), Of: string(rune('a' + random.IntN(2)))}
		c.Taken = start.Add(time.Duration(random.IntN(700*24)) * time.Hour)
		switch random.IntN(3) {
		case 0:
			c.Proved = true
		case 1:
			c.Refuted = random.IntN(2) == 0
		}
		c.Part = random.IntN(4) == 0
		if random.IntN(8) == 0 {
			c.Bound = "on hold"
		}
		copies[i] = c
	}
	return copies
}

func kept(fates []retain.Fate) map[string]bool {
	ids := map[string]bool{}
	for _, f := range fates {
		if f.Keep {
			ids[f.ID] = true
		}
	}
	return ids
}

func TestWhatRetentionNeverDoes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 7))
	for range 1000 {
		copies := drawn(random)
		rules := retain.Rules{
			Last: random.IntN(4), Daily: random.IntN(4), Weekly: random.IntN(4), Monthly: random.IntN(4), Yearly: random.IntN(3),
		}
		zone := time.FixedZone("drawn", (random.IntN(27)-12)*3600)
		fates := rules.Apply(copies, zone, terms)
		never(t, fates)
		if len(fates) != len(copies) {
			t.Fatalf("%d fates of %d copies", len(fates), len(copies))
		}
		shuffled := slices.Clone(copies)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(fates, rules.Apply(shuffled, zone, terms)); diff != "" {
			t.Fatalf("the order of the copies counts:\n%s", diff)
		}
		keeps := kept(fates)
		more := rules
		*[]*int{&more.Last, &more.Daily, &more.Weekly, &more.Monthly, &more.Yearly}[random.IntN(5)] += 1 + random.IntN(3)
		for id := range keeps {
			if !kept(more.Apply(copies, zone, terms))[id] {
				t.Fatalf("%+v keeps %s and %+v does not", rules, id, more)
			}
		}
		left := slices.DeleteFunc(slices.Clone(copies), func(c retain.Copy) bool { return !keeps[c.ID] })
		if again := kept(rules.Apply(left, zone, terms)); len(again) != len(left) {
			t.Fatalf("a second pruning gives up more: %d of %d stay", len(again), len(left))
		}
		untried := append(slices.Clone(copies), retain.Copy{ID: "new", Of: "a", Taken: time.Date(2024, 1, 1+random.IntN(700), 1, 0, 0, 0, time.UTC)})
		after := kept(rules.Apply(untried, zone, terms))
		for _, c := range copies {
			if c.Proved && keeps[c.ID] && !after[c.ID] {
				t.Fatalf("a copy that nobody tried pushes the proved %s out", c.ID)
			}
		}
	}
}

// never holds fates to what must be true of all.
func never(t *testing.T, fates []retain.Fate) {
	t.Helper()
	newest := map[string]retain.Fate{}
	for _, f := range fates {
		if old, ok := newest[f.Of]; f.Proved && (!ok || f.Taken.After(old.Taken)) {
			newest[f.Of] = f
		}
	}
	for _, f := range fates {
		last, any := newest[f.Of]
		switch {
		case f.Keep:
		case f.Bound != "":
			t.Fatalf("a bound copy is given up: %+v", f)
		case !any:
			t.Fatalf("nothing is proved, and one is given up: %+v", f)
		case !f.Taken.Before(last.Taken) && f.Taken != last.Taken:
			t.Fatalf("a copy newer than the newest proved one is given up: %+v", f)
		case f.ID == last.ID:
			t.Fatalf("the last proved copy is given up: %+v", f)
		}
		if f.Why == "" {
			t.Fatalf("no reason: %+v", f)
		}
	}
}
