// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

func decided(environment, run string, commit release.Commit, outcome release.Outcome) release.Entry {
	e := entry(environment, run, commit, "gate")
	e.Decision = &release.Decision{Outcome: outcome}
	return e
}

func finished(environment, run string, commit release.Commit, state release.State) release.Entry {
	e := entry(environment, run, commit, "deploy-finish")
	e.State = state
	return e
}

func TestDeployed(t *testing.T) {
	t.Parallel()
	one := []release.Entry{decided("none", "1", commitA, "pass"), finished("production", "1", commitA, release.Done)}
	for _, test := range []struct {
		name        string
		more        []release.Entry
		environment string
		run         string // whose decision is found; "" is none
		ungated     int
	}{
		{"the only one", nil, "production", "1", 0},
		{"without naming the environment", nil, "", "1", 0},
		{"of another environment", nil, "staging", "", 0},
		{"a later one", []release.Entry{decided("production", "2", commitB, "warn"), finished("production", "2", commitB, release.Done)}, "production", "2", 0},
		{"a later one that failed", []release.Entry{decided("production", "2", commitB, "pass"), finished("production", "2", commitB, release.Failed)}, "production", "1", 0},
		{"a later one that was tried again", []release.Entry{
			decided("production", "2", commitB, "pass"), finished("production", "2", commitB, release.Failed), finished("production", "2", commitB, release.Done),
		}, "production", "2", 0},
		{"a later one that was rolled back", []release.Entry{
			decided("production", "2", commitB, "pass"), finished("production", "2", commitB, release.Done), finished("production", "2", commitB, release.Failed),
		}, "production", "1", 0},
		{"a later one that was not deployed", []release.Entry{decided("production", "2", commitB, "pass")}, "production", "1", 0},
		{"a later one without a gate", []release.Entry{finished("production", "2", commitB, release.Done)}, "production", "1", 1},
		{"a later one whose gate broke", []release.Entry{entry("production", "2", commitB, "gate"), finished("production", "2", commitB, release.Done)}, "production", "1", 1},
		{"the one that asks", []release.Entry{decided("production", "now", commitB, "pass"), finished("production", "now", commitB, release.Done)}, "production", "1", 0},
		{"what ends last counts", []release.Entry{
			decided("production", "2", commitB, "pass"), decided("production", "3", commitA, "pass"),
			finished("production", "3", commitA, release.Done), finished("production", "2", commitB, release.Done),
			entry("production", "3", commitA, "report"),
		}, "production", "2", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := open(t, "mem://", start())
			put(t, c, one...)
			put(t, c, test.more...)
			got, err := c.Deployed(t.Context(), "shop", test.environment, "now")
			if test.run == "" {
				if !errors.Is(err, catalog.ErrNotFound) {
					t.Errorf("found %s (%v), want none", got.Gate.Run, err)
				}
				return
			}
			if err != nil || got.Gate.Run != test.run || got.Finish.Run != test.run || got.Ungated != test.ungated {
				t.Errorf("found %q with %d ungated (%v), want %q with %d", got.Gate.Run, got.Ungated, err, test.run, test.ungated)
			}
		})
	}
}

func TestDeployedToSeveralEnvironmentsAsksWhich(t *testing.T) {
	t.Parallel()
	c := open(t, "mem://", start())
	put(t, c, decided("none", "1", commitA, "pass"), finished("production", "1", commitA, release.Done),
		decided("staging", "2", commitA, "pass"), finished("staging", "2", commitA, release.Done))
	_, err := c.Deployed(t.Context(), "shop", "", "")
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(strings.Join(fault.Hints(err), ""), "production, staging") {
		t.Errorf("error %v, hints %q", err, fault.Hints(err))
	}
	if got, err := c.Deployed(t.Context(), "shop", "staging", ""); err != nil || got.Gate.Run != "2" {
		t.Errorf("found %q, %v", got.Gate.Run, err)
	}
}

// What cannot be read may have been the last release, so that none is known to be.
func TestDeployedStopsAtWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"gate", "deploy-finish"} {
		folder := t.TempDir()
		c := open(t, folder, start())
		put(t, c, decided("production", "1", commitA, "pass"), finished("production", "1", commitA, release.Done),
			decided("production", "2", commitB, "pass"), finished("production", "2", commitB, release.Done))
		damage(t, folder, "-2-"+string(commitB)+"-"+step+".json")
		if got, err := c.Deployed(t.Context(), "shop", "production", ""); !errors.Is(err, catalog.ErrDamaged) {
			t.Errorf("%s: found %q, %v", step, got.Gate.Run, err)
		}
		if _, err := c.Decided(t.Context(), "shop", "", []release.Commit{commitB}); (step == "gate") != errors.Is(err, catalog.ErrDamaged) {
			t.Errorf("%s: decided: %v", step, err)
		}
	}
}

func damage(t *testing.T, folder, ending string) {
	t.Helper()
	files, err := filepath.Glob(folder + "/v1/shop/production/*" + ending)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDecided(t *testing.T) {
	t.Parallel()
	c := open(t, "mem://", start())
	put(t, c, decided("none", "1", commitA, "pass"), decided("none", "2", commitA, "warn"),
		entry("none", "3", commitA, "gate"), entry("none", "4", commitB, "snapshot"), decided("none", "5", commitB, "fail"))
	for _, test := range []struct {
		except  string
		commits []release.Commit
		run     string
	}{
		{"", []release.Commit{commitA}, "2"},
		{"2", []release.Commit{commitA}, "1"},
		{"", []release.Commit{commitB, commitA}, "5"},
		{"5", []release.Commit{commitB, commitA}, "2"},
		{"5", []release.Commit{commitB}, ""},
		{"", nil, ""},
	} {
		got, err := c.Decided(t.Context(), "shop", test.except, test.commits)
		if got.Run != test.run || (test.run == "") != errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("except %q of %v: %q, %v; want %q", test.except, test.commits, got.Run, err, test.run)
		}
	}
}
