// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/protect"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
)

// protecting holds the inputs of the backups of snapshots.
type protecting struct {
	carrying
	user, class                      string
	checkImage, checkLine, checkUser string
	locking                          locking

	// prepared is the request as far as it is known before the snapshots are; set by prepare.
	prepared protect.Request
}

func (p *protecting) declare(set *step.Set) {
	p.carrying.declare(set)
	set.Text(&p.user, "backup-user", "",
		"Number of the user that owns the data, as UID or UID:GID, where the Job must not be root; empty reads every file as root with DAC_OVERRIDE alone, from a read-only mount, and a raw device as root without it.")
	set.Text(&p.class, "backup-class", "", "StorageClass of the temporary claims that are made of snapshots; empty uses that of each claim.")
	p.locking.declare(set)
	set.Text(&p.checkImage, "verify-image", "", "Image in which verify-command runs, e.g. that of the application's database; empty runs no check beyond the comparison.")
	set.Text(&p.checkLine, "verify-command", "",
		"The application's own check of a test restore: a line for the shell of verify-image, best kept in .knowngood.yaml. KNOWNGOOD_RESTORED names the folder, or the raw device, KNOWNGOOD_CLAIM the claim; any status but 0 means that the data is not good.")
	set.Text(&p.checkUser, "verify-user", "", "Number of the user as whom verify-command runs, as UID or UID:GID; empty is the image's own.")
	set.Output("backups", "Ids of the backups in the repository, separated by commas.")

	// Whoever may make Jobs can read every Secret of the namespace through them.
	set.Extra("backup", "the policy wants backups", func() {
		needsJobs(set)
		set.Needs("create,get,watch", "persistentvolumeclaims", "make a temporary claim of each snapshot")
		set.NeedsCluster("get", "storage.k8s.io/storageclasses", "know that temporary claims take their volumes with them")
	})
}

// beyond tells whether a decision wants more kept than snapshots.
func beyond(d release.Decision) bool {
	return d.Protect == release.ProtectBackup || d.Protect == release.ProtectVerify
}

// prepare refuses, before anything is touched, what cannot become a backup: each refusal names the
// input that cures it.
func (p *protecting) prepare(ctx context.Context, run *Run, c *cluster, d release.Decision) error {
	wanted := fmt.Sprintf("the policy wants protection by %s (%s)", d.Protect, d.ProtectBecause)
	if err := p.reaches(wanted); err != nil {
		return err
	}
	lock, err := p.locking.lock()
	if err != nil {
		return err
	}
	identity, err := identity("backup-user", p.user, work.Keeper())
	if err != nil {
		return err
	}
	tested, err := p.check()
	if err != nil {
		return err
	}
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	if p.prepared, err = p.request(run, connected.Namespace, c.timeout); err != nil {
		return err
	}
	p.prepared.As, p.prepared.Class, p.prepared.Check = identity, p.class, tested
	p.prepared.LockDays, p.prepared.LockStrict = int(lock.For/lockDay), lock.Strict
	return p.prepared.Ready(ctx, connected)
}

// check reads what the application's own check is.
func (p *protecting) check() (protect.Check, error) {
	if (p.checkImage == "") != (p.checkLine == "") {
		return protect.Check{}, fault.Hint(fault.Usagef("of verify-image and verify-command one is given"), "give both, or neither")
	}
	as, err := identity("verify-user", p.checkUser, work.Identity{})
	return protect.Check{Image: p.checkImage, Line: p.checkLine, As: as}, err
}

// identity reads the user as whom a program of a Job runs.
func identity(input, text string, otherwise work.Identity) (work.Identity, error) {
	if text == "" {
		return otherwise, nil
	}
	first, second, both := strings.Cut(text, ":")
	user, err := strconv.ParseUint(first, 10, 31)
	group := user
	if err == nil && both {
		group, err = strconv.ParseUint(second, 10, 31)
	}
	if err != nil || user == 0 {
		return work.Identity{}, fault.Usagef("%s %q: want the number of a user above zero, as UID or UID:GID", input, text)
	}
	return work.User(int64(user), int64(group)), nil
}

// run saves the snapshots and leaves the backups in the entry, also when only some are made.
func (p *protecting) run(ctx context.Context, run *Run, c *cluster, taken *release.Protection, e *release.Entry) error {
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	q := p.prepared
	q.Subject, q.Snapshots = e.Subject, taken.Snapshots
	before := connected.Waited()
	copies, err := protect.Save(ctx, connected, q)
	if len(copies.Backups) == 0 { // the place is as it was given, and not as a Job tells it
		copies.Repository = bucket.Redact(copies.Repository)
	}
	e.Copies, e.Waited = &copies, (connected.Waited() - before).Seconds()
	if len(copies.Backups) > 0 {
		run.Tell(report.Copies(copies))
	}
	var ids []string
	for _, b := range copies.Backups {
		ids = append(ids, b.ID)
	}
	return errors.Join(err, run.Host.Output("backups", strings.Join(ids, ",")))
}

// prove makes a test restore of each backup that was made, and leaves what it found in the entry.
func (p *protecting) prove(ctx context.Context, run *Run, c *cluster, taken *release.Protection, made *release.Copies, e *release.Entry) error {
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	q := p.prepared
	q.Subject, q.Snapshots = e.Subject, taken.Snapshots
	before := connected.Waited()
	found, err := q.Verify(ctx, connected, *made)
	e.Copies, e.Waited = &found, (connected.Waited() - before).Seconds()
	run.Tell(report.Copies(found))
	return err
}

// fits is what the snapshots are asked before they are taken; nil where none is to be saved.
func (p *protecting) fits(c *kube.Cluster, d release.Decision) func(context.Context, release.Snapshot) error {
	if !beyond(d) {
		return nil
	}
	return func(ctx context.Context, s release.Snapshot) error { return p.prepared.Fits(ctx, c, s) }
}

// spare leaves out the snapshots of a release at whose risk the policy wants nothing kept.
func spare(run *Run, d release.Decision, e *release.Entry) error {
	why := fmt.Sprintf("all claims: the policy wants nothing kept (%s)", d.ProtectBecause)
	e.Protection = &release.Protection{Skipped: []string{why}}
	run.Log.Info("skipped", "what", why)
	return errors.Join(
		run.Host.Output("snapshots", ""), run.Host.Output("frozen-seconds", "0.000"), run.Host.Output("consistency", ""))
}

// unprotected is an error where a release leaves out what the policy wants kept.
func unprotected(d release.Decision) error {
	if d.Protect == "" || d.Protect == release.ProtectNothing {
		return nil
	}
	return fault.Hint(
		fault.Usagef("--skip snapshot leaves out what the policy wants: protection by %s (%s)", d.Protect, d.ProtectBecause),
		"nothing was touched; leave the snapshot in, or change protect in %s", StandardConfig)
}
