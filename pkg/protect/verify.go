// SPDX-License-Identifier: Apache-2.0

package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/work"
)

// A Check is the application's own check of restored data: a line for a shell in an image of the
// application's. It runs for each volume, whose claim KNOWNGOOD_CLAIM names, and finds the data in
// the folder that KNOWNGOOD_RESTORED names, or on that device. Any exit status but 0 means that the data is not good.
type Check struct {
	Image, Line string
	// As is as whom it runs; the zero value is the image's own user, and for a raw device root
	// without any capability, since nobody else may open it.
	As work.Identity
}

// Variables of a check's environment: those of a check on a laptop, and the claim.
const (
	restoredVariable = "KNOWNGOOD_RESTORED"
	claimVariable    = "KNOWNGOOD_CLAIM"
)

// Containers of a test restore, in their order.
const (
	prove    = "prove"
	check    = "check"
	conclude = "conclude"
)

// Verify proves each backup by a test restore to a claim of its own, at once: restored, compared
// with its manifest, then checked by the application. What was found is in the backups that come
// back, also with an error; the error is of status Failed where one is not proved.
func (q Request) Verify(ctx context.Context, cluster *kube.Cluster, copies release.Copies) (release.Copies, error) {
	pods, err := mounts(ctx, cluster)
	if err != nil {
		return copies, err
	}
	verified := copies
	verified.Backups = slices.Clone(copies.Backups)
	errs := make([]error, len(verified.Backups))
	var all sync.WaitGroup
	for i := range verified.Backups {
		all.Go(func() {
			b := &verified.Backups[i]
			b.Verified, errs[i] = q.verify(ctx, cluster, *b, pods[b.Volume])
		})
	}
	all.Wait()
	err = errors.Join(errs...)
	if err != nil && ctx.Err() == nil && fault.StatusOf(err) != fault.Usage {
		err = fault.Exit(fault.Failed, err)
	}
	return verified, err
}

func (q Request) verify(ctx context.Context, cluster *kube.Cluster, b release.Backup, users []corev1.Pod) (*release.Verification, error) {
	at := slices.IndexFunc(q.Snapshots, func(s release.Snapshot) bool { return s.Claim == b.Volume })
	if at < 0 {
		return nil, fmt.Errorf("backup %s is of %s, of which there is no snapshot", b.ID, kube.OneLine(b.Volume))
	}
	ended, err := work.Run(ctx, cluster, q.proving(b, q.Snapshots[at], users))
	last := conclude
	if err != nil {
		last = prove
	}
	message, told := ended.Messages[last]
	if !told || err != nil && len(message.Result) == 0 {
		return nil, err // nothing was found out about the backup
	}
	var found release.Verification
	if reading := message.Read(&found); reading != nil {
		return nil, errors.Join(err, reading)
	}
	if found.Proved != (err == nil) || min(found.Files, found.Bytes) < 0 {
		return nil, errors.Join(err, fmt.Errorf("the Job for claim %s hands back what cannot be: proved %v", b.Volume, found.Proved))
	}
	if err == nil {
		found.Seconds = ended.Seconds
		cluster.Log.Info("backup proved", "claim", b.Volume, "backup", b.ID, "files", found.Files, "bytes", found.Bytes, "seconds", int(ended.Seconds))
	} else if message.Err() == nil { // it came back whole
		if ctx.Err() != nil || !errors.Is(err, work.ErrExited) {
			return nil, err // and the check has not judged it
		}
		found.Check, found.CheckError = q.Check.name(), kube.OneLine(inner(err).Error())
	}
	return &found, err
}

// name says of a check what people read; its lines are in the configuration.
func (c Check) name() string {
	if c.Image == "" {
		return ""
	}
	return "verify-command in " + c.Image
}

// inner takes the name of the Job off an error, which stands beside the backup already.
func inner(err error) error {
	if within := errors.Unwrap(err); within != nil {
		return within
	}
	return err
}

// proving is the Job that proves one backup. What it restores it restores as root, who alone gives
// files back to their owners.
func (q Request) proving(b release.Backup, s release.Snapshot, users []corev1.Pod) work.Job {
	about := q.Subject
	name := kube.Name(prove, b.Volume, about.Commit.Short(), about.App, about.Environment, about.Run, b.ID)
	const keep = work.Scratch + "/found.json"
	mounted, folder, as := mount(name, raw(s)), volume+"/data", q.Check.As
	if raw(s) {
		folder, as = device, handling(as, true)
	}
	own := func(step string, more ...string) work.Program {
		return work.Program{
			Name: step, Image: q.Image, Ours: true, Memory: q.Memory, Secrets: q.secrets(), Bundles: q.bundles(),
			Args: append(append([]string{"work", step, b.ID, "--keep=" + keep, "--app=" + about.App, "--environment=" + about.Environment}, q.reach()...), more...),
		}
	}
	first, last := own(prove, "--to="+folder), own(conclude, "--check="+q.Check.name())
	first.Identity, first.Writes, last.Identity = handling(work.Restorer(), raw(s)), true, handling(work.Keeper(), raw(s))
	programs := []work.Program{first, last}
	if q.Check.Image != "" {
		programs = slices.Insert(programs, 1, work.Program{
			Name: check, Image: q.Check.Image, Command: []string{"/bin/sh", "-euc", q.Check.Line}, Identity: as, Writes: true,
			Env: map[string]string{restoredVariable: folder, claimVariable: b.Volume}, Memory: q.Memory,
		})
	}
	claim := q.claim(name, s)
	claim.Spec.DataSource = nil
	if least := resource.NewQuantity(b.Bytes, resource.BinarySI); raw(s) && least.Cmp(*claim.Spec.Resources.Requests.Storage()) > 0 {
		claim.Spec.Resources.Requests[corev1.ResourceStorage] = *least // the driver had given more than was asked for
	}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	return work.Job{
		Name: name, Subject: about, About: b.Volume, Programs: programs,
		Claims: []*corev1.PersistentVolumeClaim{claim}, Mounts: []work.Mount{mounted},
		Account: q.Account, Tolerations: tolerations(users), Start: q.Start, Deadline: q.deadline(b.Bytes), Again: "the next attempt begins anew",
	}
}
