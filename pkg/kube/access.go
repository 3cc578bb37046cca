// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// Lacks returns those of the needs, one verb and resource each, that a ServiceAccount of the
// cluster's namespace has not been granted. It asks the API server, who has to let us ask.
func (c *Cluster) Lacks(ctx context.Context, account string, needs []step.Need) ([]step.Need, error) {
	user := "system:serviceaccount:" + c.Namespace + ":" + account
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + c.Namespace, "system:authenticated"}
	var lacking []step.Need
	for _, need := range single(needs) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, Groups: groups, ResourceAttributes: c.attributes(need),
		}}
		answer, err := c.Core.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return nil, c.Explain(ctx, Call{Verb: "create", Resource: "subjectaccessreviews"}, err)
		}
		if !answer.Status.Allowed {
			lacking = append(lacking, need)
		}
	}
	return lacking, nil
}

func (c *Cluster) attributes(need step.Need) *authorizationv1.ResourceAttributes {
	resource, sub, _ := strings.Cut(need.Resources[0], "/")
	attributes := &authorizationv1.ResourceAttributes{Group: need.Group, Resource: resource, Subresource: sub, Verb: need.Verbs[0]}
	if !need.Cluster {
		attributes.Namespace = c.Namespace
	}
	return attributes
}

// single parts needs into such of one verb and one resource, each once.
func single(needs []step.Need) []step.Need {
	var all []step.Need
	seen := map[string]bool{}
	for _, need := range needs {
		for _, resource := range need.Resources {
			for _, verb := range need.Verbs {
				key := need.Group + "/" + resource + " " + verb
				if !seen[key] {
					seen[key] = true
					all = append(all, step.Need{Group: need.Group, Resources: []string{resource}, Verbs: []string{verb}, Cluster: need.Cluster, Why: need.Why})
				}
			}
		}
	}
	return all
}
