// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

const (
	// overdue is how long after its end a Job is still there only where the cluster does not take
	// ended Jobs away.
	overdue = 5 * keptFor
	// orphaned is how old a Job without its claims must be: its caller died between the two.
	orphaned = 5 * time.Minute
)

// Sweep takes away what callers that died have left in the namespace and the cluster has not taken
// away itself, and returns the names of those Jobs. A Job that may be at work is never touched.
func Sweep(ctx context.Context, cluster *kube.Cluster) ([]string, error) {
	r := &running{cluster: cluster}
	return r.leftovers(ctx, r.delete)
}

// Leftovers returns the names of the Jobs that Sweep would take away.
func Leftovers(ctx context.Context, cluster *kube.Cluster) ([]string, error) {
	r := &running{cluster: cluster}
	return r.leftovers(ctx, func(context.Context, *batchv1.Job) error { return nil })
}

func (r *running) leftovers(ctx context.Context, each func(context.Context, *batchv1.Job) error) ([]string, error) {
	list, err := r.cluster.Core.BatchV1().Jobs(r.cluster.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: fmt.Sprintf("%s=%s,%s", release.LabelManagedBy, release.ManagedBy, LabelJob),
	})
	if err != nil {
		return nil, r.cluster.Explain(ctx, r.call("list", jobs, ""), err)
	}
	var found []string
	for i := range list.Items {
		job := &list.Items[i]
		left, err := r.left(ctx, job)
		if err == nil && left {
			err = each(ctx, job)
			found = append(found, job.Name)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// left tells whether nobody will come back for a Job.
func (r *running) left(ctx context.Context, job *batchv1.Job) (bool, error) {
	now := r.cluster.Now()
	if job.DeletionTimestamp != nil {
		return false, nil
	}
	for _, kind := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if ended := condition(job, kind); ended != nil {
			return now.Sub(ended.LastTransitionTime.Time) > overdue, nil
		}
	}
	if now.Sub(job.CreationTimestamp.Time) < orphaned {
		return false, nil
	}
	for name := range strings.SplitSeq(job.Annotations[AnnotationClaims], ",") {
		if name == "" {
			continue
		}
		_, err := r.cluster.Core.CoreV1().PersistentVolumeClaims(job.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		} else if err != nil {
			return false, r.cluster.Explain(ctx, r.call("get", claims, name), err)
		}
	}
	return false, nil
}
