// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
)

// A Pruning says what is pruned, and by which rules.
type Pruning struct {
	Query Query
	Rules retain.Rules
	// Zone is where days begin at midnight; nil is UTC.
	Zone *time.Location
	// Plan is the digest of the one plan that may be carried out; "" allows any.
	Plan string
	// Wait is how long another prune may hold this one up.
	Wait time.Duration
	// Before is called with the plan before anything is given up. An error of it ends the prune.
	Before func(ctx context.Context, p Plan) error
}

// A Plan is what a prune would do, and why.
type Plan struct {
	Repository string `json:"repository"`
	// Digest names what the plan gives up; two plans of one digest give up the same.
	Digest string        `json:"plan"`
	Fates  []retain.Fate `json:"backups"`
	// Backups are those of the fates, in the same order.
	Backups []release.Backup `json:"-"`
	// Known are the ids of all backups in the repository.
	Known   map[string]bool `json:"-"`
	Orphans []Orphan        `json:"orphans,omitempty"`
	// Uses are who was at work when the plan was made.
	Uses []Use `json:"in_use,omitempty"`
}

// An Orphan is something that belongs to nothing that is known.
type Orphan struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Goes is true when the plan takes it away.
	Goes bool `json:"goes,omitempty"`
}

// Kinds of orphans.
const (
	OrphanCheckpoint = "checkpoint of a save that was not finished" // of a save a week ago or more
	OrphanNote       = "note on a backup that is gone"
	OrphanForeign    = "snapshot of another program" // kopia's own
	OrphanObject     = "object that is no part of a repository"
	OrphanLost       = "object that the bucket has lost" // the next save stores anew what it held
)

// staleCheckpoint is how old the notes of a save that was not finished are before they go: the
// contents that they name are kept for a day only.
const staleCheckpoint = 7 * 24 * time.Hour

// Gone returns the backups that the plan gives up.
func (p Plan) Gone() []release.Backup {
	var gone []release.Backup
	for i, f := range p.Fates {
		if !f.Keep {
			gone = append(gone, p.Backups[i])
		}
	}
	return gone
}

// Plan returns what a prune would do. It changes nothing.
func (r *Repository) Plan(ctx context.Context, q Pruning) (Plan, error) {
	uses, err := r.usesAt(ctx, "", r.options.Now())
	if err != nil {
		return Plan{}, err
	}
	return r.plan(ctx, q, uses)
}

func (r *Repository) plan(ctx context.Context, q Pruning, uses []Use) (Plan, error) {
	p := Plan{Repository: r.Place(), Uses: uses, Known: map[string]bool{}}
	if err := q.Rules.Check(); err != nil {
		return p, err
	}
	all, err := r.List(ctx, Query{})
	if err != nil {
		return p, fault.Hint(fmt.Errorf("plan what is pruned: %w", err),
			"nothing is given up while a backup cannot be read; see backup verify, and the bucket's own versions of its objects")
	}
	locked, err := r.lockedUntil(ctx)
	if err != nil {
		return p, fmt.Errorf("plan what is pruned: %w", err)
	}
	byID, copies := map[string]release.Backup{}, []retain.Copy{}
	for _, b := range all {
		p.Known[b.ID] = true
		if byID[b.ID] = b; q.Query.selects(b) {
			copies = append(copies, copyOf(b, uses, locked[b.ID]))
		}
	}
	terms := retain.Terms{Proved: "proved", Refuted: "its test restore failed"}
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	p.Fates = append([]retain.Fate{}, q.Rules.Apply(copies, zone, terms)...)
	for _, f := range p.Fates {
		p.Backups = append(p.Backups, byID[f.ID])
	}
	if p.Orphans, err = r.orphans(ctx, byID); err != nil {
		return p, fmt.Errorf("plan what is pruned: %w", err)
	}
	p.Digest = p.digest()
	return p, nil
}

// copyOf is a backup as the rules see it.
func copyOf(b release.Backup, uses []Use, locked time.Time) retain.Copy {
	c := retain.Copy{ID: b.ID, Of: fmt.Sprintf("%q in %q: %q", b.App, b.Environment, b.Volume), Taken: b.Taken, Part: !b.Whole()}
	if b.Verified != nil {
		c.Proved, c.Refuted = b.Verified.Proved, !b.Verified.Proved
	}
	var bound []string
	if b.Hold != nil {
		bound = append(bound, strings.TrimSuffix(fmt.Sprintf("on hold by %s: %s", b.Hold.Owner, b.Hold.Reason), ": "))
	}
	if !locked.IsZero() {
		bound = append(bound, "locked until "+locked.UTC().Format("2006-01-02 15:04 UTC"))
	}
	for _, u := range uses {
		if u.Backup == b.ID {
			bound = append(bound, "in use: "+u.String())
		}
	}
	c.Bound = strings.Join(bound, ", ")
	return c
}

// digest names what the plan gives up.
func (p Plan) digest() string {
	var lines []string
	for _, f := range p.Fates {
		if !f.Keep {
			lines = append(lines, "backup "+f.ID)
		}
	}
	for _, o := range p.Orphans {
		if o.Goes {
			lines = append(lines, o.Kind+" "+o.Name)
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(p.Repository + "\n" + strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}

// orphans returns what belongs to no backup.
func (r *Repository) orphans(ctx context.Context, backups map[string]release.Backup) ([]Orphan, error) {
	var found []Orphan
	for _, kind := range []string{checkpointType, verificationType, holdType, snapshot.ManifestType} {
		notes, err := r.kopia.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: kind})
		if err != nil {
			return nil, err
		}
		for _, note := range notes {
			_, known := backups[note.Labels["backup"]]
			switch {
			case kind == checkpointType && r.options.Now().Sub(note.ModTime) > staleCheckpoint:
				found = append(found, Orphan{OrphanCheckpoint, string(note.ID), true})
			case (kind == verificationType || kind == holdType) && !known:
				found = append(found, Orphan{OrphanNote, string(note.ID), true})
			case kind == snapshot.ManifestType && note.Labels[tagEntries] == "":
				found = append(found, Orphan{OrphanForeign, string(note.ID), false})
			}
		}
	}
	objects, err := r.objects(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if !ours(object.Key) {
			found = append(found, Orphan{OrphanObject, object.Key, false})
		}
	}
	lost, err := r.lost(ctx)
	if err != nil {
		return nil, err
	}
	for pack := range distinct(lost) {
		found = append(found, Orphan{OrphanLost, string(pack), false})
	}
	slices.SortFunc(found, func(a, b Orphan) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
	return found, nil
}

// ours tells whether an object is part of a repository by its name: kopia's, or under our own
// prefix.
func ours(key string) bool {
	if strings.Contains(key, "/") {
		return strings.HasPrefix(key, ownPrefix)
	}
	for _, prefix := range []string{"p", "q", "n", "m", "l", "x", "s", "_log_", "kopia."} {
		rest, found := strings.CutPrefix(key, prefix)
		if found && (len(prefix) > 1 || len(rest) >= 16 || prefix == "x" && rest != "") {
			return true
		}
	}
	return false
}
