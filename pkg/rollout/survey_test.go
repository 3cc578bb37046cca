// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// The Secret in testdata/surveys is always web-tls.
func TestConsumers(t *testing.T) {
	t.Parallel()
	cases(t, "testdata/surveys", func(objects []runtime.Object) string {
		survey, err := Take(t.Context(), fakecluster.New(t, "shop", objects...).Cluster)
		if err != nil {
			return err.Error()
		}
		found, err := survey.Consumers(t.Context(), "web-tls")
		var text strings.Builder
		fmt.Fprintf(&text, "error: %v\n", err)
		for _, w := range found.Workloads {
			fmt.Fprintf(&text, "%s: %d replicas\n", w, w.Replicas)
			if w.Stuck != "" {
				fmt.Fprintf(&text, "  stuck: %s\n", w.Stuck)
			}
		}
		for _, passed := range found.Passed {
			fmt.Fprintf(&text, "passed: %s\n", passed)
		}
		return text.String()
	})
}

func TestReady(t *testing.T) {
	t.Parallel()
	pod := func(name string, ready corev1.ConditionStatus, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "db", Controller: new(true)},
		}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		if change != nil {
			change(p)
		}
		return p
	}
	cluster := fakecluster.New(t, "shop",
		pod("db-1", corev1.ConditionTrue, nil), pod("db-0", corev1.ConditionTrue, nil), pod("db-2", corev1.ConditionFalse, nil),
		pod("leaving", corev1.ConditionTrue, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Finalizers = new(metav1.Now()), []string{"example.com/stay"}
		}),
		pod("other", corev1.ConditionTrue, func(p *corev1.Pod) { p.OwnerReferences = nil }),
	)
	survey, err := Take(t.Context(), cluster.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := survey.Ready(t.Context(), &Workload{UID: "db"})
	if err != nil || len(ready) != 2 || ready[0].Name != "db-0" || ready[1].Name != "db-1" {
		t.Errorf("Ready() = %v, %v, want db-0 and db-1", ready, err)
	}
}

func TestTakeNamesWhatIsForbidden(t *testing.T) {
	t.Parallel()
	for resource, said := range map[string]string{
		"deployments": "list deployments.apps in namespace shop", "statefulsets": "list statefulsets.apps", "daemonsets": "list daemonsets.apps",
		"services": "list services", "poddisruptionbudgets": "list poddisruptionbudgets.policy",
		"ingresses": "list ingresses.networking.k8s.io", "pods": "list pods",
	} {
		cluster := fakecluster.New(t, "shop")
		cluster.CoreFake.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
		})
		if _, err := Take(t.Context(), cluster.Cluster); !errors.Is(err, kube.ErrForbidden) || !strings.Contains(err.Error(), said) {
			t.Errorf("Take() = %v, want forbidden and %q", err, said)
		}
	}
}
