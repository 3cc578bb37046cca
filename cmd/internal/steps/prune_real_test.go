// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/test/realcluster"
)

// unasked are verbs that a prune is granted and asks for only in trouble.
var unasked = map[string]string{
	"get persistentvolumeclaims": "asked only of a Job that may have lost its claims",
	"delete jobs":                "asked only where a killed run has left one",
	"create leases":              "asked only by the first prune of a namespace",
	"watch volumesnapshots":      "asked only where a deletion takes a moment",
}

// What the rendered RBAC grants is what a prune needs: with exactly that it works, and without any
// one verb it gives nothing up.
func TestPruneNeedsWhatItDeclares(t *testing.T) {
	t.Parallel()
	c := realcluster.New(t, "prune")
	c.Apply(t, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: "%NAMESPACE%", labels: {app: shop}}
spec: {accessModes: [ReadWriteOnce], storageClassName: loop, resources: {requests: {storage: 64Mi}}}
`)
	c.Bound(t, "data")
	uid, err := c.UID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	within, whole := granted(t, "prune")
	try := func(t *testing.T, name string, without grant) error {
		t.Helper()
		run, _ := newRun(t)
		p := &Prune{catalog: t.TempDir(), rules: retain.Rules{Last: 1}, zone: "UTC", timeout: 20 * time.Second, snapshots: true}
		p.wanted.app, p.wanted.from = name, &cluster{}
		store, err := catalog.Open(t.Context(), p.catalog, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		for i := range 2 {
			about := release.Subject{App: name, Environment: "test", Run: fmt.Sprint("r", i), Commit: release.Commit(strings.Repeat("a", 40))}
			taken, err := snapshot.Take(t.Context(), c.Cluster, snapshot.Request{Subject: about, Claims: "app=shop", Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			taken.Cluster = uid
			for _, e := range []release.Entry{{Step: "snapshot", Protection: &taken}, {Step: "deploy-finish"}} {
				e.Subject, e.State, e.Ended = about, release.Done, time.Now()
				if _, err := store.Append(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.wanted.from.kubeconfig = c.Account(t, name, less(within, without), less(whole, without))
		p.wanted.from.namespace = c.Namespace
		return p.Run(t.Context(), run)
	}
	if err := try(t, "all", grant{}); err != nil {
		t.Fatalf("with all that is granted: %v\nhints: %q", err, fault.Hints(err))
	}
	for _, without := range slices.Concat(within, whole) {
		name := strings.ReplaceAll(without.verb+"-"+without.resource, "/", "-")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := try(t, name, without)
			if unasked[without.String()] != "" && err == nil {
				return
			}
			if !errors.Is(err, kube.ErrForbidden) {
				t.Errorf("without %s: error %v, want one that names it", without, err)
			}
		})
	}
}

// less are the rules without one grant.
func less(all []grant, without grant) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, g := range all {
		if g != without {
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{g.group}, Resources: []string{g.resource}, Verbs: []string{g.verb}})
		}
	}
	return rules
}
