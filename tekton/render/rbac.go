// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/step"
)

// Namespace stands, in the files, for the namespace of the application, in which the Tasks run.
// No name in a cluster may have such a sign, so it cannot be forgotten.
const Namespace = "%NAMESPACE%"

// RBAC returns the ServiceAccount of a step with exactly the rules that the step declares: a
// Role for the namespace of the application, and a ClusterRole where a resource lives in none.
// The latter's binding has the namespace in its name: each namespace needs one of its own.
func RBAC(spec step.Spec) ([]string, error) {
	name := Name(spec)
	labels := map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "knowngood"}
	about := metav1.ObjectMeta{Name: name, Labels: labels}
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: Namespace}
	objects := []any{&corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: about,
	}}
	if rules := rules(spec, false); len(rules) > 0 {
		objects = append(objects,
			&rbacv1.Role{TypeMeta: rbac("Role"), ObjectMeta: about, Rules: rules},
			&rbacv1.RoleBinding{
				TypeMeta: rbac("RoleBinding"), ObjectMeta: about, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			})
	}
	if rules := rules(spec, true); len(rules) > 0 {
		binding := about
		binding.Name += "-" + Namespace
		objects = append(objects,
			&rbacv1.ClusterRole{TypeMeta: rbac("ClusterRole"), ObjectMeta: about, Rules: rules},
			&rbacv1.ClusterRoleBinding{
				TypeMeta: rbac("ClusterRoleBinding"), ObjectMeta: binding, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			})
	}
	var documents []string
	for _, object := range objects {
		document, err := marshal(object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

func rbac(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

// rules merges needs of the same verbs and group, in the order of declaration.
func rules(spec step.Spec, cluster bool) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, need := range spec.Needs {
		if need.Cluster != cluster {
			continue
		}
		merged := false
		for i := range all {
			if all[i].APIGroups[0] == need.Group && slices.Equal(all[i].Verbs, need.Verbs) {
				all[i].Resources = append(all[i].Resources, need.Resources...)
				merged = true
				break
			}
		}
		if !merged {
			all = append(all, rbacv1.PolicyRule{
				APIGroups: []string{need.Group}, Resources: slices.Clone(need.Resources), Verbs: need.Verbs,
			})
		}
	}
	return all
}
