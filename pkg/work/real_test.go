// SPDX-License-Identifier: Apache-2.0

package work_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/realcluster"
)

// realImage names an environment variable with an image of knowngood that the nodes hold.
const realImage = "KNOWNGOOD_TEST_IMAGE"

// inCluster makes a namespace of a level of Pod Security, and a Job that prints the version.
func inCluster(t *testing.T, level string, change func(*work.Job)) (*realcluster.Cluster, work.Job) {
	t.Helper()
	t.Parallel()
	c := realcluster.New(t, "work")
	image := c.Image(t, "knowngood.test/knowngood:", realImage)
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	_, err := c.Core.CoreV1().Namespaces().Patch(t.Context(), c.Namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	account := kube.WaitSpec{What: "the default service account", Timeout: time.Minute, Resource: "serviceaccounts", Namespace: c.Namespace, Name: "default"}
	if err := kube.Wait(t.Context(), c.Cluster, account, c.Core.CoreV1().ServiceAccounts(c.Namespace),
		kube.Named(func(now *corev1.ServiceAccount) (kube.Progress, error) { return kube.Progress{Done: now != nil}, nil })); err != nil {
		t.Fatal(err)
	}
	j := job(func(j *work.Job) {
		j.Programs[0].Image, j.Programs[0].Args = image, []string{"--version"}
		j.Claims, j.Mounts = nil, nil
	}, change)
	return c, j
}

// gone fails unless the Job and its pods go.
func gone(t *testing.T, c *realcluster.Cluster, name string) {
	t.Helper()
	spec := kube.WaitSpec{What: "the pods to go", Timeout: 2 * time.Minute, Resource: "pods", Namespace: c.Namespace, Selector: work.LabelJob + "=" + name}
	if err := kube.Wait(context.WithoutCancel(t.Context()), c.Cluster, spec, c.Core.CoreV1().Pods(c.Namespace), func(left []*corev1.Pod) (kube.Progress, error) {
		return kube.Progress{Done: len(left) == 0, State: "there"}, nil
	}); err != nil {
		t.Error(err)
	}
	if jobs, err := c.Core.BatchV1().Jobs(c.Namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 {
		t.Errorf("Jobs are left: %v, %v", jobs.Items, err)
	}
}

func TestRealJobsRunAtTheLevelTheyClaim(t *testing.T) {
	for level, as := range map[string]work.Identity{"restricted": work.User(65532, 65532), "baseline": work.Restorer()} {
		t.Run(level, func(t *testing.T) {
			c, j := inCluster(t, level, func(j *work.Job) { j.Programs[0].Identity = as })
			outcome, err := work.Run(t.Context(), c.Cluster, j)
			if err != nil || len(outcome.Messages) != 1 {
				t.Errorf("%v: %+v", err, outcome)
			}
			gone(t, c, j.Name)
		})
	}
}

func TestRealJobsThatCannotRunEndEarlyWithTheirCure(t *testing.T) {
	for _, test := range []struct {
		name, level string
		change      func(*work.Job)
		says, cure  string
	}{
		{"the level restricted", "restricted", func(*work.Job) {}, "violates PodSecurity", "--backup-user"},
		{"a Secret", "baseline", func(j *work.Job) {
			j.Programs[0].Secrets = []work.Secret{{Variable: "X", Name: "absent", Key: "x"}}
		}, `secret "absent" not found`, "in its namespace"},
		{"an image", "baseline", func(j *work.Job) { j.Programs[0].Image = "127.0.0.1:1/none:1" }, "container save: ", "--backup-image"},
		{"a node", "baseline", func(j *work.Job) {
			j.Start = 10 * time.Second
			j.Nodes = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "none", Operator: corev1.NodeSelectorOpExists},
			}}}}
		}, "node affinity", "--timeout"},
		{"a deadline", "baseline", func(j *work.Job) {
			j.Deadline = 5 * time.Second
			j.Programs[0].Secrets = []work.Secret{{Variable: "X", Name: "absent", Key: "x"}}
		}, "DeadlineExceeded", "--backup-timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, j := inCluster(t, test.level, test.change)
			_, err := work.Run(t.Context(), c.Cluster, j)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), test.cure) {
				t.Errorf("error %v, hints %q; want %q and %q", err, fault.Hints(err), test.says, test.cure)
			}
			gone(t, c, j.Name)
		})
	}
}
