// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/release"
)

// link writes into the record of each run whose backups were copied where the copies are, unless
// it says so already. A run that the catalog does not know gets no record here. It returns what a
// person should know.
func (k *KeyRotate) link(ctx context.Context, run *Run, made *release.Copies) (string, error) {
	by, order := map[release.Subject][]release.Backup{}, []release.Subject{}
	for _, one := range made.Backups {
		s := release.Subject{App: one.App, Environment: one.Environment, Run: one.Run, Commit: one.Commit}
		if by[s] == nil {
			order = append(order, s)
		}
		by[s] = append(by[s], one)
	}
	if len(order) == 0 {
		return "", nil
	}
	url, err := (&place{catalog: k.catalog}).url(run)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	store, err := catalog.OpenExisting(ctx, url, run.Now)
	if errors.Is(err, catalog.ErrNotFound) {
		return "There is no catalog: no record was told of the new place.", nil
	} else if err != nil {
		return "", err
	}
	defer store.Close()
	linked := 0
	for _, s := range order {
		known, err := linkRun(ctx, run, store, s, *made, by[s])
		if err != nil {
			return "", fmt.Errorf("note in the record where the copies are: %w", err)
		}
		if known {
			linked++
		}
	}
	return fmt.Sprintf("The records of %d of %d runs name the new place.", linked, len(order)), nil
}

// linkRun writes into the record of one run, where the catalog knows the run.
func linkRun(ctx context.Context, run *Run, store *catalog.Catalog, s release.Subject, made release.Copies, copies []release.Backup) (known bool, err error) {
	if catalog.Check(s) != nil {
		return false, nil //nolint:nilerr // a subject that no catalog takes has no record
	}
	record, err := store.Record(ctx, s.App, s.Environment, s.Run)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, e := range record.Entries {
		if e.Copies != nil && e.Copies.Repository == made.Repository {
			copies = slices.DeleteFunc(copies, func(one release.Backup) bool {
				return slices.ContainsFunc(e.Copies.Backups, func(b release.Backup) bool { return b.ID == one.ID })
			})
		}
	}
	if len(copies) == 0 {
		return true, nil
	}
	made.Backups = copies
	_, err = store.Append(ctx, release.Entry{
		Subject: s, Step: "key-rotate", State: release.Done, Began: run.Now(), Ended: run.Now(), Version: run.Version, Copies: &made,
	})
	return true, err
}
