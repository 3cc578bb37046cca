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
	account := &corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: bearing(spec, Name(spec)),
	}
	return documents(append([]any{account}, roles(spec, Name(spec), spec.Needs)...))
}

// ExtraRBAC returns the roles that give the ServiceAccount of a step an extra.
func ExtraRBAC(spec step.Spec, extra step.Extra) ([]string, error) {
	return documents(roles(spec, Name(spec)+"-"+extra.Name, extra.Needs))
}

func bearing(spec step.Spec, name string) metav1.ObjectMeta {
	labels := map[string]string{"app.kubernetes.io/name": Name(spec), "app.kubernetes.io/part-of": "knowngood"}
	return metav1.ObjectMeta{Name: name, Labels: labels}
}

// roles bind the account of a step to what it needs.
func roles(spec step.Spec, name string, needs []step.Need) []any {
	meta, subject := bearing(spec, name), rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: Name(spec), Namespace: Namespace}
	var objects []any
	if rules := rules(needs, false); len(rules) > 0 {
		objects = append(objects,
			&rbacv1.Role{TypeMeta: rbac("Role"), ObjectMeta: meta, Rules: rules},
			&rbacv1.RoleBinding{
				TypeMeta: rbac("RoleBinding"), ObjectMeta: meta, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			})
	}
	if rules := rules(needs, true); len(rules) > 0 {
		binding := meta
		binding.Name += "-" + Namespace
		objects = append(objects,
			&rbacv1.ClusterRole{TypeMeta: rbac("ClusterRole"), ObjectMeta: meta, Rules: rules},
			&rbacv1.ClusterRoleBinding{
				TypeMeta: rbac("ClusterRoleBinding"), ObjectMeta: binding, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			})
	}
	return objects
}

func documents(objects []any) ([]string, error) {
	var all []string
	for _, object := range objects {
		document, err := marshal(object)
		if err != nil {
			return nil, err
		}
		all = append(all, document)
	}
	return all, nil
}

func rbac(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

// rules merges needs of the same verbs and group, in the order of declaration.
func rules(needs []step.Need, cluster bool) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, need := range needs {
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
