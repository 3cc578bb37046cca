// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
)

// A Request says what is saved, where to, and by whom.
type Request struct {
	Subject   release.Subject
	Snapshots []release.Snapshot

	// Repository is where the backups lie. KeySecret is the Secret that holds its key under
	// KeyName, BucketSecret one whose entries are the environment of the Job, "" for none.
	Repository   string
	KeySecret    string
	BucketSecret string
	// AllowHTTP lets the Job reach the repository without TLS.
	AllowHTTP bool
	// LockDays is for how many days the bucket lets nobody delete what a save writes, LockStrict
	// whether nobody may lift that; 0 locks nothing.
	LockDays   int
	LockStrict bool

	// Image is knowngood's own; Account the service account of the Job, "" the default one.
	Image, Account string
	// As is as whom the Job reads; work.Keeper reads every file.
	As work.Identity
	// Class is the StorageClass of the temporary claims, "" that of the claim that was cut.
	Class string
	// Memory is the most that a Job may use.
	Memory string

	// Check is the application's own check of a test restore; without an image there is none.
	Check Check

	// Start is how long a Job may take to begin, Deadline how long it may take in all; 0 is a
	// deadline by the size of the volume.
	Start, Deadline time.Duration
}

// slowest is the rate, in bytes a second, below which a Job is taken for one that hangs, and spare
// what it may take beside that.
const (
	slowest = 4 << 20
	spare   = 2 * time.Hour
)

// deadline is how long a Job may take that carries so many bytes.
func (q Request) deadline(bytes int64) time.Duration {
	if q.Deadline > 0 {
		return q.Deadline
	}
	return spare + time.Duration(max(bytes, 0)/slowest)*time.Second
}

// KeyName is under which name a Secret holds the key of a repository.
const KeyName = "password"

// Save saves each snapshot that is ready, all at once: where they run is the scheduler's. What was
// saved comes back also with an error, whose status is fault.Partial when some of it is saved.
func Save(ctx context.Context, cluster *kube.Cluster, q Request) (release.Copies, error) {
	copies := release.Copies{Repository: q.Repository, Backups: []release.Backup{}}
	swept, err := work.Sweep(ctx, cluster)
	if len(swept) > 0 {
		cluster.Log.Info("took away what a killed run had left", "jobs", strings.Join(swept, ","))
	}
	if err != nil {
		return copies, err
	}
	pods, err := mounts(ctx, cluster)
	if err != nil {
		return copies, err
	}
	var all sync.WaitGroup
	saved, errs := make([]release.Copies, len(q.Snapshots)), make([]error, len(q.Snapshots))
	for i, snapshot := range q.Snapshots {
		if snapshot.Ready {
			all.Go(func() { saved[i], errs[i] = q.save(ctx, cluster, snapshot, pods[snapshot.Claim]) })
		}
	}
	all.Wait()
	for _, one := range saved {
		copies.Backups = append(copies.Backups, one.Backups...)
		if one.Repository != "" {
			backups := copies.Backups
			copies = one
			copies.Backups = backups
		}
	}
	return copies, outcome(ctx, len(copies.Backups), errs)
}

// outcome joins the errors and gives them the status that they mean together: where nothing is
// good and one is of usage, that.
func outcome(ctx context.Context, good int, errs []error) error {
	err := fault.Together(ctx, good > 0, errs)
	if fault.StatusOf(err) == fault.Failed && slices.ContainsFunc(errs, func(err error) bool { return fault.StatusOf(err) == fault.Usage }) {
		return fault.Exit(fault.Usage, err)
	}
	return err
}

// save saves one snapshot.
func (q Request) save(ctx context.Context, cluster *kube.Cluster, s release.Snapshot, users []corev1.Pod) (release.Copies, error) {
	job, err := q.job(ctx, cluster, s, users)
	if err != nil {
		return release.Copies{}, err
	}
	ended, err := work.Run(ctx, cluster, job)
	message, told := ended.Messages[program]
	if err != nil && (!told || len(message.Result) == 0) {
		return release.Copies{}, q.rawHint(s, err)
	}
	var copies release.Copies
	if reading := message.Read(&copies); reading != nil {
		return release.Copies{}, errors.Join(err, reading)
	}
	if wrong := q.doubt(copies, s); wrong != nil {
		return release.Copies{}, errors.Join(err, wrong)
	}
	// Of proofs and holds the repository tells, not a Job that saves.
	copies.Backups[0].Verified, copies.Backups[0].Hold = nil, nil
	b := copies.Backups[0]
	cluster.Log.Info("backup made", "claim", s.Claim, "backup", b.ID, "files", b.Files, "bytes", b.Bytes, "stored", b.Stored,
		"seconds", int(ended.Seconds))
	return copies, err
}

// doubt returns an error where what a Job hands back is not about what it was begun for.
func (q Request) doubt(copies release.Copies, s release.Snapshot) error {
	if len(copies.Backups) != 1 {
		return fmt.Errorf("the Job for claim %s hands back %d backups, want one", s.Claim, len(copies.Backups))
	}
	b, about := copies.Backups[0], q.Subject
	switch {
	case b.App != about.App || b.Environment != about.Environment || b.Commit != about.Commit || b.Run != about.Run || b.Volume != s.Claim:
		return fmt.Errorf("the Job for claim %s hands back a backup of something else: %s", s.Claim, kube.OneLine(b.App+" "+b.Volume+" "+b.Run))
	case b.ID == "" || len(b.ID) > 100 || strings.Trim(b.ID, "0123456789abcdefghijklmnopqrstuvwxyz") != "":
		return fmt.Errorf("the Job for claim %s hands back a backup whose id is none: %q", s.Claim, kube.OneLine(b.ID))
	case b.Device != raw(s):
		return fmt.Errorf("the Job for claim %s hands back a backup of another kind of volume", s.Claim)
	case min(b.Entries, b.Files, b.Bytes, b.Stored, b.Unread, b.Torn) < 0:
		return fmt.Errorf("the Job for claim %s hands back a backup with numbers below zero", s.Claim)
	}
	return nil
}
