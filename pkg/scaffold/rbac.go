// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

// rbac makes a ServiceAccount and what it needs: a Role in the namespace and, where something
// does not live in one, a ClusterRole of the namespace's own name.
func rbac(name, namespace string, needs []step.Need) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: %s\n  namespace: %s\n", name, text(namespace))
	within, wide := parted(needs)
	b.WriteString(roleOf("Role", name, namespace, namespace, within))
	b.WriteString(roleOf("ClusterRole", namespace+"-"+name, "", namespace, wide))
	return b.String()
}

func parted(needs []step.Need) (within, wide []step.Need) {
	for _, need := range needs {
		if need.Cluster {
			wide = append(wide, need)
		} else {
			within = append(within, need)
		}
	}
	return within, wide
}

// roleOf makes a role and its binding to the ServiceAccount; nothing where nothing is needed.
func roleOf(kind, name, lives, namespace string, needs []step.Need) string {
	if len(needs) == 0 {
		return ""
	}
	account := strings.TrimPrefix(name, namespace+"-")
	if kind == "Role" {
		account = name
	}
	meta := "metadata:\n  name: " + text(name) + "\n"
	if lives != "" {
		meta += "  namespace: " + text(lives) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s\n%srules:\n", kind, meta)
	for _, need := range needs {
		fmt.Fprintf(&b, "  - apiGroups: [%q] # %s\n    resources: [%s]\n    verbs: [%s]\n",
			need.Group, need.Why, quoted(need.Resources), quoted(need.Verbs))
	}
	fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %sBinding\n%sroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: %s\n  name: %s\n",
		kind, meta, kind, text(name))
	fmt.Fprintf(&b, "subjects:\n  - kind: ServiceAccount\n    name: %s\n    namespace: %s\n", account, text(namespace))
	return b.String()
}

func quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(all, ", ")
}
