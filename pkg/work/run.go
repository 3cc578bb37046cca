// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// An Outcome is how a Job ended.
type Outcome struct {
	// Messages are those of the programs of ours that ended, by the program's name.
	Messages map[string]Message
	// Seconds is how long the programs ran, from the first one's start to the last one's end.
	Seconds float64
	// Attached is true where the Job was at work already, begun by an earlier attempt.
	Attached bool
}

// Run runs a Job to its end, tells how it goes on, and takes it away with its claims and its pod,
// on every path. The error is that of the first program that failed, with its own status and
// hints, or says why the Job could not run. What programs before it handed back comes with it.
func Run(ctx context.Context, cluster *kube.Cluster, job Job) (Outcome, error) {
	r := &running{cluster: cluster, job: job, followed: map[string]bool{}, outcome: Outcome{Messages: map[string]Message{}}}
	err := r.begin(ctx)
	if err == nil {
		err = r.await(ctx)
	}
	if removing := r.remove(ctx); removing != nil {
		err = errors.Join(err, removing)
	}
	if err != nil {
		return r.outcome, fmt.Errorf("Job %s/%s for %s: %w", cluster.Namespace, job.Name, job.About, err)
	}
	return r.outcome, nil
}

// running is one Run.
type running struct {
	cluster *kube.Cluster
	job     Job
	made    *batchv1.Job
	outcome Outcome

	following sync.WaitGroup
	mu        sync.Mutex
	followed  map[string]bool
	lastLines []string

	// stuck is what a container waits for that may never come, and since when.
	stuck      string
	stuckSince time.Time
}

const jobs = "batch/jobs"

func (r *running) call(verb, resource, name string) kube.Call {
	return kube.Call{Verb: verb, Resource: resource, Namespace: r.cluster.Namespace, Name: name}
}

// begin makes the Job and then its claims, which the Job owns: killed between the two, the Job
// ends at its deadline, and no claim is left without an owner.
func (r *running) begin(ctx context.Context) error {
	object, err := r.job.object(r.cluster.Namespace)
	if err != nil {
		return err
	}
	if err := r.make(ctx, object); err != nil {
		return err
	}
	for _, claim := range r.job.Claims {
		if err := r.claim(ctx, r.job.claim(claim, r.made)); err != nil {
			return err
		}
	}
	return nil
}

const claims = "persistentvolumeclaims"

// claim makes a temporary claim. One of its name may be on its way out with an earlier Job.
func (r *running) claim(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	client := r.cluster.Core.CoreV1().PersistentVolumeClaims(r.cluster.Namespace)
	_, err := client.Create(ctx, claim, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return r.cluster.Explain(ctx, r.call("create", claims, claim.Name), err)
	}
	ours := false
	spec := kube.WaitSpec{
		What: fmt.Sprintf("the claim %s of an earlier Job to go", claim.Name), Timeout: r.job.Start,
		Resource: claims, Namespace: r.cluster.Namespace, Name: claim.Name,
	}
	err = kube.Wait(ctx, r.cluster, spec, client, kube.Named(func(now *corev1.PersistentVolumeClaim) (kube.Progress, error) {
		ours = now != nil && owned(now, r.made.UID)
		if now != nil && !ours && now.Labels[LabelJob] != r.made.Name {
			return kube.Progress{}, fault.Usagef("claim %s is there, and not of this Job", claim.Name)
		}
		return kube.Progress{Done: now == nil || ours, State: "still there"}, nil
	}))
	if err != nil || ours {
		return err
	}
	_, err = client.Create(ctx, claim, metav1.CreateOptions{})
	return r.cluster.Explain(ctx, r.call("create", claims, claim.Name), err)
}

func owned(object metav1.Object, by types.UID) bool {
	return slices.ContainsFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == by })
}

// make creates the Job, or finds the one of an earlier attempt. One that has failed, or runs
// something else, is begun anew.
func (r *running) make(ctx context.Context, object *batchv1.Job) error {
	client := r.cluster.Core.BatchV1().Jobs(r.cluster.Namespace)
	made, err := client.Create(ctx, object, metav1.CreateOptions{})
	if err == nil {
		r.made = made
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return r.cluster.Explain(ctx, r.call("create", jobs, object.Name), err)
	}
	there, err := client.Get(ctx, object.Name, metav1.GetOptions{})
	if err != nil {
		return r.cluster.Explain(ctx, r.call("get", jobs, object.Name), err)
	}
	for _, key := range []string{release.AnnotationApp, release.AnnotationEnvironment, release.AnnotationRun, release.AnnotationCommit, release.AnnotationClaim} {
		if there.Annotations[key] != object.Annotations[key] {
			return fault.Hint(fault.Usagef("it is there and not this run's: its annotation %s is %q, want %q",
				key, kube.OneLine(there.Annotations[key]), object.Annotations[key]), "delete it if it is not needed, or give this run another name with --run")
		}
	}
	same := there.Annotations[annotationPod] == object.Annotations[annotationPod]
	if same && there.DeletionTimestamp == nil && condition(there, batchv1.JobFailed) == nil {
		r.made, r.outcome.Attached = there, true
		r.cluster.Log.Info("a Job of an earlier attempt is there", "job", there.Name)
		return nil
	}
	if err := r.gone(ctx, there); err != nil {
		return err
	}
	if r.made, err = client.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return r.cluster.Explain(ctx, r.call("create", jobs, object.Name), err)
	}
	return nil
}

// gone deletes a Job of an earlier attempt, and waits until it is no more.
func (r *running) gone(ctx context.Context, old *batchv1.Job) error {
	if err := r.delete(ctx, old); err != nil {
		return err
	}
	spec := kube.WaitSpec{
		What: fmt.Sprintf("the Job %s of an earlier attempt to go", old.Name), Timeout: r.job.Start,
		Resource: jobs, Namespace: r.cluster.Namespace, Name: old.Name,
	}
	return kube.Wait(ctx, r.cluster, spec, r.cluster.Core.BatchV1().Jobs(r.cluster.Namespace), kube.Named(func(now *batchv1.Job) (kube.Progress, error) {
		return kube.Progress{Done: now == nil || now.UID != old.UID, State: "still there"}, nil
	}))
}

// removeTimeout is how long the request to take a Job away may take.
const removeTimeout = 30 * time.Second

// remove takes the Job away, also after a cancellation; the cluster takes away what it owns.
func (r *running) remove(ctx context.Context) error {
	if r.made == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	return r.delete(ctx, r.made)
}

func (r *running) delete(ctx context.Context, job *batchv1.Job) error {
	background := metav1.DeletePropagationBackground
	err := r.cluster.Core.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &job.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another one by now
	}
	return fault.Hint(r.cluster.Explain(ctx, r.call("delete", jobs, job.Name), err),
		"the Job ends by itself, and is gone %s later with its claims", keptFor)
}

// condition returns a condition of a Job that is true, or nil.
func condition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}
