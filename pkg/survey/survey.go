// SPDX-License-Identifier: Apache-2.0

// Package survey looks at a cluster before the first release: which steps it has something for,
// and what a person should know or mend. It changes nothing, and what it may not see it calls
// not known.
package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/snapshot"
	"github.com/knowngood/knowngood/pkg/step"
)

// A Survey is what was seen.
type Survey struct {
	// Tekton is true where the cluster has Tekton's API.
	Tekton bool
	// Claims and Certificates are what a release of the namespace would protect and renew.
	Claims, Certificates []string
	// NoSnapshots and NoCertificates say why the step has nothing to do, "" where it has, or
	// where that is not known.
	NoSnapshots, NoCertificates string
	// Remarks are for a person, in the order of a release.
	Remarks []Remark
}

// A Remark is one thing to know, with its cure where there is one.
type Remark struct{ What, Cure string }

// A Grant is what an account is to be allowed, by the objects in a file.
type Grant struct {
	Account string
	Needs   []step.Need
	File    string
}

// Look looks at the cluster's namespace. grants are what the accounts of a release need, and
// tekton is whether it is to run there.
func Look(ctx context.Context, cluster *kube.Cluster, grants []Grant, tekton bool) Survey {
	s := &Survey{}
	groups, err := groups(cluster)
	if err != nil {
		s.unknown("what the cluster has", err)
		return *s
	}
	s.Tekton = groups["tekton.dev"]
	if tekton && !s.Tekton {
		s.remark("the cluster has no Tekton", "install Tekton Pipelines 1.0 or newer")
	}
	_, err = cluster.Core.CoreV1().Namespaces().Get(ctx, cluster.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.remark(fmt.Sprintf("namespace %s does not exist yet: what a release would protect in it is not known", cluster.Namespace),
			"kubectl create namespace "+cluster.Namespace+", or give --namespace; then run init again")
	}
	absent := apierrors.IsNotFound(err)
	s.snapshots(ctx, cluster, groups["snapshot.storage.k8s.io"], absent)
	s.certificates(ctx, cluster, groups["cert-manager.io"], absent)
	s.lacks(ctx, cluster, grants)
	return *s
}

func (s *Survey) remark(what, cure string) { s.Remarks = append(s.Remarks, Remark{what, cure}) }

func (s *Survey) unknown(what string, err error) {
	s.remark(what+" is not known: "+err.Error(), strings.Join(fault.Hints(err), "; "))
}

func groups(cluster *kube.Cluster) (map[string]bool, error) {
	list, err := cluster.Core.Discovery().ServerGroups()
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, group := range list.Groups {
		has[group.Name] = true
	}
	return has, nil
}

// snapshots asks the step itself what it would do, so that what is remarked here is what would
// stop a release there.
func (s *Survey) snapshots(ctx context.Context, cluster *kube.Cluster, known, absent bool) {
	switch {
	case !known:
		s.NoSnapshots = "the cluster has no VolumeSnapshots"
		return
	case absent:
		return
	}
	plan, err := snapshot.Look(ctx, cluster, snapshot.Request{})
	s.Claims = plan.Claims
	slices.Sort(s.Claims)
	switch {
	case errors.Is(err, snapshot.ErrNothing):
		s.NoSnapshots = "the namespace has no claims"
		return
	case errors.Is(err, kube.ErrForbidden):
		s.unknown("what a snapshot would take", err)
	case err != nil:
		s.remark("a snapshot would not begin: "+err.Error(), strings.Join(fault.Hints(err), "; "))
	}
	for _, note := range plan.Notes {
		s.remark(note, "")
	}
	for _, skipped := range plan.Skipped {
		s.remark("passed over: "+skipped, "")
	}
	for _, database := range plan.Databases {
		s.remark(fmt.Sprintf("%s seems to be PostgreSQL, and its volumes would be snapshotted while it writes", database),
			fmt.Sprintf("annotate its pods with %s=postgresql (in the template of their manifest), so that a backup of PostgreSQL's own holds meanwhile", snapshot.AnnotationHold))
	}
}

func (s *Survey) certificates(ctx context.Context, cluster *kube.Cluster, known, absent bool) {
	switch {
	case !known:
		s.NoCertificates = "the cluster has no cert-manager"
		return
	case absent:
		return
	}
	list, err := cluster.Certificates.CertmanagerV1().Certificates(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		call := kube.Call{Verb: "list", Resource: "cert-manager.io/certificates", Namespace: cluster.Namespace}
		s.unknown("which certificates there are", cluster.Explain(ctx, call, err))
		return
	}
	for i := range list.Items {
		s.Certificates = append(s.Certificates, list.Items[i].Name)
	}
}

// lacks remarks what the accounts of a release may not do yet.
func (s *Survey) lacks(ctx context.Context, cluster *kube.Cluster, grants []Grant) {
	applied := true
	for _, grant := range grants {
		lacking, err := cluster.Lacks(ctx, grant.Account, grant.Needs)
		if err != nil {
			s.unknown("whether the accounts of a release may do what it needs", err)
			return
		}
		if len(lacking) == 0 {
			continue
		}
		var what []string
		for _, need := range lacking {
			what = append(what, need.Verbs[0]+" "+need.Resources[0])
		}
		const most = 3
		if more := len(what) - most; more > 0 {
			what = append(what[:most], fmt.Sprintf("and %d more", more))
		}
		s.remark(fmt.Sprintf("ServiceAccount %s may not yet: %s", grant.Account, strings.Join(what, ", ")), "")
		applied = false
	}
	if !applied {
		s.Remarks[len(s.Remarks)-1].Cure = "kubectl apply -f " + grants[0].File
	}
}
