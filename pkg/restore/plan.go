// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A Request says what to restore, and how.
type Request struct {
	Way release.RestoreWay
	// Name is that of this restore, which a restore that is finished keeps.
	Name             string
	App, Environment string

	// Lineage and Snapshots are the source of RestoreNew and RestoreInPlace.
	// Backups are those that were saved of the snapshots, From which of both is taken.
	Lineage   release.Lineage
	Snapshots []release.Snapshot
	Backups   []release.Backup
	From      From
	// Fill brings a backup into a claim; nil where none is to be restored.
	Fill Fill
	// NewClaim names the claim of RestoreNew; "" derives a name from the source.
	NewClaim string
	// StorageClass of the claims that are made; "" is the one that was recorded.
	StorageClass string
	// Again restores in place once more what was restored from the same snapshots already.
	Again bool

	// Earlier and Claims say which restore RestoreUndo and RestoreConfirm mean; both may be
	// empty where there is one alone.
	Earlier string
	Claims  []string

	// Timeout is the deadline of each wait.
	Timeout time.Duration
}

// From is the kind of copy that a claim is restored from.
type From string

// Kinds of copies.
const (
	FromAny      From = ""         // the snapshot where it can be restored from, else the backup
	FromSnapshot From = "snapshot" // a VolumeSnapshot of the namespace
	FromBackup   From = "backup"   // a backup in a repository
)

// A Plan is what a restore has to do, in its order.
type Plan struct {
	// Name is that of the restore: the request's, or that of the restore which is finished.
	Name string
	// Resumed is true when an earlier attempt had begun.
	Resumed bool

	cluster *kube.Cluster
	request Request
	acts    []act
	result  release.Restoration
	commit  release.Commit
	// fills is the id of a backup that is to be brought into a claim, "" for none.
	fills string
	// own are the names of restores whose workloads are this plan's to scale.
	own []string
	// beside is how many acts at the beginning touch nothing that is in use.
	beside int
	// safe says where the data is while the plan is under way; "" where nothing can be lost.
	safe string
}

// An act is one thing to do. It finds out by itself whether it was done already.
type act struct {
	text string
	do   func(ctx context.Context) error
}

func (p *Plan) add(do func(ctx context.Context) error, format string, args ...any) {
	p.acts = append(p.acts, act{fmt.Sprintf(format, args...), do})
}

func (p *Plan) note(format string, args ...any) {
	p.result.Notes = append(p.result.Notes, fmt.Sprintf(format, args...))
}

// Make finds out what a restore has to do. It changes nothing. The error is one of usage where
// the restore is refused.
func Make(ctx context.Context, cluster *kube.Cluster, request Request) (*Plan, error) {
	p := &Plan{
		Name: request.Name, cluster: cluster, request: request,
		commit: request.Lineage.Commit, result: release.Restoration{Way: request.Way, Source: request.Lineage, Claims: []release.RestoredClaim{}},
	}
	var err error
	switch request.Way {
	case release.RestoreNew:
		err = p.planNew(ctx)
	case release.RestoreInPlace:
		err = p.planInPlace(ctx)
	case release.RestoreUndo:
		err = p.planUndo(ctx)
	case release.RestoreConfirm:
		err = p.planConfirm(ctx)
	default:
		err = fault.Usagef("%q is no way to restore", request.Way)
	}
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.result.Claims, func(c release.RestoredClaim) bool { return c.Backup != "" }) {
		p.result.Source.Repository = ""
	}
	for _, a := range p.acts {
		p.result.Plan = append(p.result.Plan, a.text)
	}
	return p, nil
}

// Commit is the one that the restored data belongs to, in whose name the restore is recorded.
func (p *Plan) Commit() release.Commit { return p.commit }

// Fills names a backup that is still to be brought into a claim, if any is.
func (p *Plan) Fills() (id string, fills bool) { return p.fills, p.fills != "" }

// Result returns what is known so far: the plan itself, and what was done of it.
func (p *Plan) Result() release.Restoration { return p.result }

// Do carries the plan out. What was done comes back also with an error; made again, the plan
// then holds what is left.
func (p *Plan) Do(ctx context.Context) (release.Restoration, error) {
	for i, a := range p.acts {
		p.cluster.Log.Info("restore", "step", i+1, "of", len(p.acts), "what", a.text)
		if err := a.do(ctx); err != nil {
			switch {
			case i < p.beside:
				err = fault.Hint(err, "nothing in use was touched; the same command goes on from here")
			case p.safe != "":
				err = fault.Hint(err, "%s; the same command goes on from here, and knowngood restore --undo goes back", p.safe)
			}
			return p.result, err
		}
	}
	return p.result, nil
}

// call names a request about a namespaced object, for errors.
func (p *Plan) call(verb, resource, name string) kube.Call {
	return kube.Call{Verb: verb, Resource: resource, Namespace: p.cluster.Namespace, Name: name}
}
