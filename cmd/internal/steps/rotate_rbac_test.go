// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/rollout"
	"github.com/knowngood/knowngood/pkg/rotate"
	"github.com/knowngood/knowngood/test/realcluster"
)

// A grant is one verb on one resource.
type grant struct{ group, resource, verb string }

func (g grant) String() string { return g.verb + " " + g.resource }

// granted returns what the rendered RBAC of a Task grants: in its namespace and in the cluster.
func granted(t *testing.T, id string) (within, whole []grant) {
	t.Helper()
	text, err := os.ReadFile("../../../tekton/task/knowngood-" + id + "/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var role struct {
			Kind  string
			Rules []rbacv1.PolicyRule
		}
		if err := documents.Decode(&role); errors.Is(err, io.EOF) {
			return within, whole
		} else if err != nil {
			t.Fatal(err)
		}
		into := &within
		if role.Kind == "ClusterRole" {
			into = &whole
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					*into = append(*into, grant{rule.APIGroups[0], resource, verb})
				}
			}
		}
	}
}

// but returns RBAC of all grants but one.
func but(grants []grant, without grant) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, g := range grants {
		if g != without {
			all = append(all, rbacv1.PolicyRule{APIGroups: []string{g.group}, Resources: []string{g.resource}, Verbs: []string{g.verb}})
		}
	}
	return all
}

// sparedByRotate are grants without which a rotation of a Deployment and a database succeeds all
// the same.
var sparedByRotate = map[string]string{
	"get clusterissuers":   "asked only of Certificates with such an issuer",
	"watch statefulsets":   "the same calls as of Deployments, asked where one is restarted",
	"patch statefulsets":   "as above",
	"watch daemonsets":     "as above",
	"patch daemonsets":     "as above",
	"patch pods":           "without it a reload waits longer for the kubelet",
	"get jobs":             "asked only of a Job's pods",
	"get pods/portforward": "asked by servers before 1.35",
	"get pods/exec":        "asked by servers before 1.35",
}

// A rotation on the real cluster whose every try is of an account of its own.
type rotation struct {
	*realcluster.Cluster
	within, whole []grant
}

func (r *rotation) account(t *testing.T, name string, without grant) string {
	t.Helper()
	return r.Account(t, name, but(r.within, without), but(r.whole, without))
}

// settle waits until no restart goes on.
func (r *rotation) settle(t *testing.T) {
	t.Helper()
	survey, err := rollout.Take(t.Context(), r.Cluster.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	using, err := survey.Consumers(t.Context(), "web-tls")
	if err != nil || len(using.Workloads) != 1 {
		t.Fatalf("workloads with web-tls: %v, %v", using.Workloads, err)
	}
	if err := rollout.Settle(t.Context(), r.Cluster.Cluster, using.Workloads[0], "", 2*time.Minute); err != nil {
		t.Fatal(err)
	}
}

// each runs a step with all that its Task's RBAC grants, and then without each grant, which the
// error names unless it is spared.
func (r *rotation) each(t *testing.T, id string, try func(t *testing.T, kubeconfig string) error) {
	t.Helper()
	r.within, r.whole = granted(t, id)
	if err := try(t, r.account(t, id, grant{})); err != nil {
		t.Fatalf("with all that %s is granted: %v\nhints: %q", id, err, fault.Hints(err))
	}
	for _, without := range slices.Concat(r.within, r.whole) {
		name := strings.ReplaceAll(without.verb+"-"+without.resource, "/", "-")
		t.Run(id+" without "+name, func(t *testing.T) {
			err := try(t, r.account(t, id+"-"+name, without))
			if _, ok := sparedByRotate[without.String()]; ok {
				if err != nil {
					t.Errorf("without it: %v", err)
				}
				return
			}
			said := ""
			if err != nil {
				said = err.Error() + strings.Join(fault.Hints(err), "\n")
			}
			if !errors.Is(err, kube.ErrForbidden) || !strings.Contains(said, without.String()) || !strings.Contains(said, `verbs: ["`+without.verb+`"]`) {
				t.Errorf("without it: %v\nhints: %q", err, fault.Hints(err))
			}
		})
	}
}

// What the rendered ServiceAccount of a Task may do is what the step needs: with exactly that it
// works, and without any one verb it says which.
func TestRotateNeedsWhatItsTaskIsGranted(t *testing.T) {
	t.Parallel()
	r := &rotation{Cluster: realcluster.New(t, "rotate-rbac")}
	r.Authority(t)
	r.Serve(t, realcluster.Server{
		Kind: "Deployment", Name: "web", Replicas: 2, Annotations: map[string]string{rollout.AnnotationTLSPort: "8443"},
	}, realcluster.Server{
		Kind: "StatefulSet", Name: "db", Replicas: 1, Database: true,
		Annotations: map[string]string{rollout.AnnotationTLSPort: "5432/postgresql", rollout.AnnotationReload: `["/opt/db/reload"]`},
	})
	r.each(t, "rotate-prepare", func(t *testing.T, kubeconfig string) error {
		t.Helper()
		run, _ := newRun(t)
		prepare := &RotatePrepare{subject: theSubject()}
		prepare.preparing.when = string(cert.Auto)
		prepare.cluster.kubeconfig, prepare.cluster.timeout = kubeconfig, time.Minute
		return prepare.Run(t.Context(), run)
	})
	r.each(t, "rotate-prove", func(t *testing.T, kubeconfig string) error {
		t.Helper()
		// What is served is stale at first, so that every try has to act. A restart of the try
		// before may still go on, and its pods would begin with the certificate made here.
		r.settle(t)
		if _, err := rotate.Prepare(t.Context(), r.Cluster.Cluster, rotate.Request{When: cert.Always, Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		run, _ := newRun(t)
		prove := &RotateProve{subject: theSubject()}
		prove.cluster.kubeconfig, prove.cluster.timeout = kubeconfig, 3*time.Minute
		return prove.Run(t.Context(), run)
	})
}
