// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// storeTimeout is how long opening and probing the catalog may take, and how long storing
// the entry may, which also happens after the step was cancelled.
const storeTimeout = 30 * time.Second

// subject holds the inputs that say what a run is about and where its record lies. Every
// step that leaves an entry has it.
type subject struct {
	place
	environment string
	commit      string
	head        string
	tree        string
	run         string
	runURL      string
	pullRequest int
	config      string
	base        string
	forge       forge

	// store is open while record works.
	store *catalog.Catalog
	// announced is true once the run's name was handed on.
	announced bool
	// checkout is what the first step found of the working directory; looked is true since.
	checkout *release.Checkout
	looked   bool
}

const (
	configDoc = "Path of the configuration; empty uses .knowngood.yaml where it exists."
	baseDoc   = "Commit whose configuration counts: the base of a pull request, whose own changes to it count after the merge. Empty takes the configuration as it lies."
)

func (s *subject) declare(set *step.Set) {
	s.place.declare(set)
	set.Text(&s.environment, "environment", "",
		"Name of the environment, e.g. production; empty uses the namespace and the cluster, or none in a step without a cluster.")
	set.Text(&s.commit, "commit", "", "Commit that is, or is to be, deployed: its full id.", step.Fact())
	set.Text(&s.run, "run", "", "Name of the run; the same for all its steps. Empty makes a new one, which the output run hands on.", step.Fact())
	set.Text(&s.config, "config", "", configDoc)
	set.Text(&s.base, "base", "", baseDoc, step.Fact())
	set.Text(&s.head, "head", "", "Head of the pull request, where it differs from the commit.", step.Fact())
	set.Text(&s.tree, "tree", "", "Tree of the commit.", step.Fact())
	set.Int(&s.pullRequest, "pull-request", 0, "Number of the pull request; 0 when there is none.", step.Fact())
	set.Text(&s.runURL, "run-url", "", "Link to the run, for the report.", step.Fact())
	s.forge.declare(set)
	set.Output("run", "Name of the run, for the steps that follow.")
	set.Output("record", "Where the entry of this step lies.")
	set.Output("record-digest", "Digest of that entry's bytes: sha256: and hexadecimal digits.")
}

// forge holds the inputs that say where GitHub is, and as whom to speak to it.
type forge struct {
	token step.Hidden
	api   string
}

func (f *forge) declare(set *step.Set) {
	set.Secret(&f.token, "token",
		"Token for GitHub, a workflow's own or a person's: it reads what the checkout lacks of a pull request's base, and the report writes with it.",
		step.Fallback("GITHUB_TOKEN"))
	set.Text(&f.api, "github-api-url", pullrequest.DefaultAPI,
		"Address of GitHub's API; https://HOST/api/v3 for GitHub Enterprise Server.", step.Fact())
	set.Permission("contents", "read", "the configuration of a pull request's base, and finding the pull request of a commit")
}

// inCluster completes the environment of a step that speaks to a cluster: a namespace and the
// cluster's UID, unless the person named one. uid is asked only where it is needed.
func (s *subject) inCluster(ctx context.Context, namespace string, uid func(context.Context) (string, error)) error {
	if s.environment != "" {
		return nil
	}
	id, err := uid(ctx)
	if err != nil {
		return fault.Hint(fmt.Errorf("name the environment after its cluster: %w", err), "or name it with --environment")
	}
	s.environment = namespace + "." + id
	return nil
}

// resolve checks the inputs and completes them; what it returns can be stored.
func (s *subject) resolve(run *Run) (release.Subject, error) {
	if s.run == "" {
		s.run = catalog.NewRun(run.Now())
	}
	about := release.Subject{
		App: s.application(), Environment: cmp.Or(s.environment, catalog.NoEnvironment), Run: s.run,
		Repository: s.source, PullRequest: s.pullRequest, RunURL: s.runURL,
	}
	errs := []error{
		named(about.App),
		parseCommit(&about.Commit, "commit", s.commit),
	}
	if s.head != "" {
		errs = append(errs, parseCommit(&about.Head, "head", s.head))
	}
	if about.Head == about.Commit {
		about.Head = ""
	}
	if s.tree != "" {
		errs = append(errs, parseCommit(&about.Tree, "tree", s.tree))
	}
	if s.pullRequest < 0 {
		errs = append(errs, fault.Usagef("pull-request %d: want a number above zero", s.pullRequest))
	}
	if err := errors.Join(errs...); err != nil {
		return about, err
	}
	return about, catalog.Check(about)
}

func parseCommit(into *release.Commit, name, text string) error {
	if text == "" {
		return fault.Hint(fault.Usagef("no %s is known", name), "give --%s, or run in a git checkout", name)
	}
	parsed, err := release.ParseCommit(text)
	if err != nil {
		return fault.Hint(fault.Usagef("--%s: %w", name, err), "a branch, a tag or a short id can mean another commit tomorrow")
	}
	*into = parsed
	return nil
}

// record runs the work of a step and keeps an entry of it in the catalog, also when the work
// failed. The catalog is opened and proved writable before the work begins, and the entry is
// stored even when the step was cancelled. An entry that could not be stored is shown whole.
func (s *subject) record(ctx context.Context, run *Run, id string, work func(context.Context, *release.Entry) error) error {
	about, err := s.resolve(run)
	if err != nil {
		return err
	}
	if err := s.open(ctx, run, about); err != nil {
		return err
	}
	defer func() { s.store = nil }()
	defer s.store.Close()
	if err := s.announce(run); err != nil {
		return err
	}
	if !s.looked {
		s.checkout, s.looked = checkedOut(ctx, run, about.Commit), true
	}
	entry := release.Entry{Subject: about, Step: id, Began: run.Now(), Version: run.Version, Checkout: s.checkout, Config: run.Config.Use}
	before, _ := run.Usage()
	err = work(ctx, &entry)
	after, peak := run.Usage()
	entry.CPUSeconds, entry.PeakBytes = (after - before).Seconds(), peak
	conclude(&entry, err, run.Now())
	return s.keep(ctx, run, entry, err)
}

// announce hands the run's name on before the work, for the steps that follow a failed one.
func (s *subject) announce(run *Run) error {
	if s.announced {
		return nil
	}
	s.announced = true
	return run.Host.Output("run", s.run)
}

// read returns what the run has left so far, in the environment of this step or, where it
// knows none, wherever the run's entries lie. Nothing is no error: the record is then empty
// but for its subject. An error about single objects comes with the rest of the record.
func (s *subject) read(ctx context.Context, run *Run) (release.Record, error) {
	about, err := s.resolve(run)
	if err != nil {
		return release.Record{Subject: about}, err
	}
	store := s.store
	if store == nil {
		url, err := s.url(run)
		if err != nil {
			return release.Record{Subject: about}, err
		}
		if store, err = catalog.OpenExisting(ctx, url, run.Now); errors.Is(err, catalog.ErrNotFound) {
			return release.Record{Subject: about}, nil
		} else if err != nil {
			return release.Record{Subject: about}, err
		}
		defer store.Close()
	}
	record, err := store.Record(ctx, about.App, s.environment, about.Run)
	if errors.Is(err, catalog.ErrNotFound) {
		return release.Record{Subject: about}, nil
	}
	return record, err
}

// open opens the catalog, proves that it can be written to, and that the run is about one
// commit.
func (s *subject) open(ctx context.Context, run *Run, about release.Subject) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	url, err := s.url(run)
	if err != nil {
		return err
	}
	store, err := catalog.Open(ctx, url, run.Now)
	if err != nil {
		return err
	}
	if err = store.Probe(ctx); err == nil {
		err = oneCommit(ctx, store, about)
	}
	if err != nil {
		store.Close()
		return err
	}
	s.store = store
	return nil
}

// oneCommit refuses a run that another commit has: a decision about one commit must never
// stand beside the snapshots of another.
func oneCommit(ctx context.Context, store *catalog.Catalog, about release.Subject) error {
	commits, err := store.Commits(ctx, about.App, about.Run)
	for _, commit := range commits {
		if commit != about.Commit {
			return errors.Join(err, fault.Hint(
				fault.Usagef("run %q of %q is about commit %s, not %s", about.Run, about.App, commit, about.Commit),
				"give another --run; a run has one commit"))
		}
	}
	return err
}

// conclude writes into the entry how the work ended. A state that the work set stays where
// there is no error.
func conclude(entry *release.Entry, err error, now time.Time) {
	entry.Ended = now
	if err != nil {
		entry.Error, entry.Hint = err.Error(), strings.Join(fault.Hints(err), "\n")
	}
	switch fault.StatusOf(err) {
	case fault.Done:
		entry.State = cmp.Or(entry.State, release.Done)
	case fault.Partial:
		entry.State = release.Partial
	case fault.Cancelled:
		entry.State = release.Cancelled
	case fault.GateClosed, fault.Usage, fault.Failed:
		entry.State = release.Failed
	}
}
