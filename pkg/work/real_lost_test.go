// SPDX-License-Identifier: Apache-2.0

package work_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/work"
	"github.com/knowngood/knowngood/test/realcluster"
)

// A node that is drained, a pod that somebody deletes, too little memory and too little time: the
// caller is told what happened and what to do, and nothing is left.
func TestRealJobsThatAreCutShort(t *testing.T) {
	for _, test := range []struct {
		name, line, memory string
		deadline           time.Duration
		cut                func(t *testing.T, c *realcluster.Cluster, pod string) error
		says, cure         string // "" where the Job goes on and ends well
	}{
		{"evicted", "sleep 3", "", time.Minute, evict, "", ""},
		{"deleted", "sleep 60", "", time.Minute, deleted, "BackoffLimitExceeded", "its pod was deleted, or its node was lost: repeat the command; what was uploaded is used"},
		{"out of memory", "tail /dev/zero", "16Mi", time.Minute, nil, "more memory than its limit of 16Mi", "--backup-memory; what was uploaded is used"},
		{"out of time", "sleep 60", "", 8 * time.Second, nil, "DeadlineExceeded", "--backup-timeout; what was uploaded is used"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, j := inCluster(t, "baseline", func(j *work.Job) {
				j.Deadline, j.Again = test.deadline, "what was uploaded is used by the next attempt"
			})
			j.Programs[0] = work.Program{
				Name: "save", Image: c.Image(t, "/shop-db:", "KNOWNGOOD_TEST_POSTGRESQL_IMAGE"), Memory: test.memory,
				Command: []string{"sh", "-c", "trap 'exit 1' TERM; " + test.line + " & wait $!"},
			}
			cut := make(chan error, 1)
			go func() {
				if test.cut == nil {
					cut <- nil
					return
				}
				pod, err := running(t, c, j.Name)
				if err == nil {
					err = test.cut(t, c, pod)
				}
				cut <- err
			}()
			_, err := work.Run(t.Context(), c.Cluster, j)
			if cutting := <-cut; cutting != nil {
				t.Fatal(cutting)
			}
			switch hints := strings.Join(fault.Hints(err), "\n"); {
			case test.says == "" && err != nil, test.says != "" && err == nil:
				t.Errorf("error %v, hints %q", err, hints)
			case err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(hints, test.cure)):
				t.Errorf("error %v, hints %q; want %q and %q", err, hints, test.says, test.cure)
			}
			gone(t, c, j.Name)
		})
	}
}

// running waits until the pod of a Job runs, and returns its name.
func running(t *testing.T, c *realcluster.Cluster, job string) (name string, err error) {
	t.Helper()
	spec := kube.WaitSpec{What: "the pod to run", Timeout: time.Minute, Resource: "pods", Namespace: c.Namespace, Selector: work.LabelJob + "=" + job}
	err = kube.Wait(t.Context(), c.Cluster, spec, c.Core.CoreV1().Pods(c.Namespace), func(all []*corev1.Pod) (kube.Progress, error) {
		for _, pod := range all {
			if pod.Status.Phase == corev1.PodRunning {
				name = pod.Name
			}
		}
		return kube.Progress{Done: name != "", State: "it does not"}, nil
	})
	return name, err
}

func evict(t *testing.T, c *realcluster.Cluster, pod string) error {
	t.Helper()
	return c.Core.PolicyV1().Evictions(c.Namespace).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: pod}})
}

func deleted(t *testing.T, c *realcluster.Cluster, pod string) error {
	t.Helper()
	return c.Core.CoreV1().Pods(c.Namespace).Delete(t.Context(), pod, metav1.DeleteOptions{})
}
