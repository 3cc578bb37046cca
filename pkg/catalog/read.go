// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// readers is how many objects are read at the same time.
const readers = 8

// A Query says which records are wanted. Empty fields ask for all.
type Query struct {
	App string
	// Environment takes entries of NoEnvironment along for the runs that deploy there; a run
	// that has no others is found only where Run asks for it.
	Environment string
	Run         string
	// Commit is a commit or the beginning of one.
	Commit string
	// Limit is how many of the newest records are returned; 0 means all.
	Limit int
}

// Record returns what a run left. Without an environment it is found wherever it ran; a run
// that has entries in several environments is then an error of usage. No entry at all is
// ErrNotFound. Objects that cannot be read are in the error, and the others in the record.
func (c *Catalog) Record(ctx context.Context, app, environment, run string) (release.Record, error) {
	records, err := c.Records(ctx, Query{App: app, Environment: environment, Run: run})
	var names []string
	for _, r := range records {
		if !slices.Contains(names, r.Environment) {
			names = append(names, r.Environment)
		}
	}
	switch {
	case len(names) > 1:
		slices.Sort(names)
		return release.Record{}, errors.Join(err, fault.Hint(
			fault.Usagef("run %q of %q has records in several environments", run, app),
			"give one of them by --environment: %s", strings.Join(names, ", ")))
	case len(records) > 0:
		return records[0], err
	case err != nil:
		return release.Record{}, err
	}
	where := ""
	if environment != "" {
		where = fmt.Sprintf(" in environment %q", environment)
	}
	return release.Record{}, fmt.Errorf("run %q of %q%s in %s: %w", run, app, where, c.bucket.Place(""), ErrNotFound)
}

// Records returns the records that the query asks for, each with its entries oldest first. The
// first is the one whose run has left something of its own last (see release.Upkeep). Objects that cannot be read are in the error, and the others in the records.
func (c *Catalog) Records(ctx context.Context, q Query) ([]release.Record, error) {
	keys, strays, failed := c.keys(ctx, q)
	failed = errors.Join(strays, failed)
	bundles := group(keys, q)
	if q.Limit > 0 && len(bundles) > q.Limit {
		bundles = bundles[:q.Limit]
	}
	records := make([]release.Record, len(bundles))
	problems := make([]error, len(bundles))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readers)
	for i, b := range bundles {
		reads.Go(func() error {
			records[i], problems[i] = c.load(ctx, b)
			return nil
		})
	}
	_ = reads.Wait() // no reader returns an error: each has its own place for it
	return records, errors.Join(append([]error{failed}, problems...)...)
}

// keys lists the entries that the query asks for, oldest first. strays is about objects that
// have the extension and not the name of an entry; err is about the listing itself.
func (c *Catalog) keys(ctx context.Context, q Query) (found []key, strays, err error) {
	prefixes := []string{prefixOf(q.App, q.Environment)}
	if q.App != "" && q.Environment != "" && q.Environment != NoEnvironment {
		prefixes = append(prefixes, prefixOf(q.App, NoEnvironment))
	}
	var strangers, failed []error
	for _, prefix := range prefixes {
		for name, err := range c.bucket.Keys(ctx, prefix) {
			if err != nil {
				failed = append(failed, err)
				break
			}
			if !strings.HasSuffix(name, extension) {
				continue // a probe, a temporary file of a writer that was killed, a stranger's file
			}
			k, err := parseKey(name)
			switch {
			case err != nil:
				strangers = append(strangers, c.damaged(name, err))
			case (q.Run == "" || k.run == q.Run) && strings.HasPrefix(string(k.commit), q.Commit):
				found = append(found, k)
			}
		}
	}
	slices.SortFunc(found, func(a, b key) int {
		return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.String(), b.String()))
	})
	return found, errors.Join(strangers...), errors.Join(failed...)
}

func (c *Catalog) damaged(name string, why error) error {
	return fault.Hint(fmt.Errorf("%w %s: %w", ErrDamaged, c.bucket.Place(name), why),
		"entries are never changed: find out who wrote there, and bring the entry back from a copy, or move it away")
}

// A bundle is the keys of one record.
type bundle struct {
	environment string
	keys        []key
}

// group makes bundles of keys that are sorted oldest first, and returns the newest bundle
// first. Entries without an environment go to each environment of their run.
func group(keys []key, q Query) []bundle {
	type name struct {
		app, run    string
		commit      release.Commit
		environment string
	}
	bundles := map[name]*bundle{}
	unplaced := map[name][]key{}
	for _, k := range keys {
		n := name{k.app, k.run, k.commit, k.environment}
		if k.environment == NoEnvironment {
			unplaced[n] = append(unplaced[n], k)
			continue
		}
		if bundles[n] == nil {
			bundles[n] = &bundle{environment: k.environment}
		}
		bundles[n].keys = append(bundles[n].keys, k)
	}
	for n, loose := range unplaced {
		placed := false
		for other, b := range bundles {
			if other.app == n.app && other.run == n.run && other.commit == n.commit && other.environment != NoEnvironment {
				b.keys = append(b.keys, loose...)
				placed = true
			}
		}
		if !placed {
			bundles[n] = &bundle{environment: NoEnvironment, keys: loose}
		}
	}
	all := make([]bundle, 0, len(bundles))
	for _, b := range bundles {
		slices.SortFunc(b.keys, func(x, y key) int { return x.id.Compare(y.id) })
		if q.Environment == "" || b.environment == q.Environment || b.environment == NoEnvironment && q.Run != "" {
			all = append(all, *b)
		}
	}
	slices.SortFunc(all, func(x, y bundle) int {
		return cmp.Or(y.newest().id.Compare(x.newest().id), cmp.Compare(x.environment, y.environment))
	})
	return all
}

// newest is the key of the last entry that the run itself left: an old run whose copies are proved
// or pruned today is as old as before. Where there is only upkeep, it is that.
func (b bundle) newest() key {
	for _, k := range slices.Backward(b.keys) {
		if !release.Upkeep(k.step) {
			return k
		}
	}
	return b.keys[len(b.keys)-1]
}

func (c *Catalog) load(ctx context.Context, b bundle) (release.Record, error) {
	record := release.Record{Subject: release.Subject{
		App: b.keys[0].app, Environment: b.environment, Run: b.keys[0].run, Commit: b.keys[0].commit,
	}}
	var failed []error
	for _, k := range b.keys {
		entry, _, err := c.read(ctx, k)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		record.Entries = append(record.Entries, entry)
		complete(&record.Subject, entry.Subject)
	}
	return record, errors.Join(failed...)
}

// complete fills what a later step knew of the subject and an earlier one did not.
func complete(s *release.Subject, later release.Subject) {
	s.Head = cmp.Or(later.Head, s.Head)
	s.Tree = cmp.Or(later.Tree, s.Tree)
	s.Repository = cmp.Or(later.Repository, s.Repository)
	s.PullRequest = cmp.Or(later.PullRequest, s.PullRequest)
	s.RunURL = cmp.Or(later.RunURL, s.RunURL)
}

// read returns the entry of a key and the digest of its bytes.
func (c *Catalog) read(ctx context.Context, k key) (release.Entry, string, error) {
	name := k.String()
	data, err := c.bucket.Get(ctx, name, maxBytes)
	switch {
	case errors.Is(err, bucket.ErrTooLarge):
		return release.Entry{}, "", c.damaged(name, err)
	case err != nil:
		return release.Entry{}, "", err
	}
	var form struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return release.Entry{}, "", c.damaged(name, err)
	}
	if form.Format > release.Format {
		return release.Entry{}, "", fault.Hint(
			fmt.Errorf("%w: %s has format %d, this program reads up to %d", ErrNewer, c.bucket.Place(name), form.Format, release.Format),
			"update knowngood here to the version that wrote it")
	}
	var entry release.Entry
	if err := json.Unmarshal(data, &entry); err != nil {
		return release.Entry{}, "", c.damaged(name, err)
	}
	if form.Format < 1 || keyOf(entry) != k {
		return release.Entry{}, "", c.damaged(name, errors.New("it does not say what its name says"))
	}
	return entry, digestOf(data), nil
}
