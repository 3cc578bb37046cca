// SPDX-License-Identifier: Apache-2.0

package main

// tekton: the controller makes a pod of a TaskRun in a restricted namespace, and hands its result on.
func tekton(c cluster) {
	c.must("kubectl", "create", "namespace", "tasks")
	c.must("kubectl", "label", "namespace", "tasks", "pod-security.kubernetes.io/enforce=restricted")
	c.wait("create", "-n", "tasks", "serviceaccount/default")
	c.must("kubectl", "apply", "-f", "testdata/tekton.yaml")
	c.wait("condition=Succeeded", "-n", "tasks", "taskrun", "one")
	c.expect("hello", "kubectl", "-n", "tasks", "get", "taskrun", "one", "-o", "jsonpath={.status.results[0].value}")
}
