// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Image returns the name of an image that a node of the cluster holds, by a part of its name.
// Without one it skips the test and names the variable that may hold another name.
func (c *Cluster) Image(t *testing.T, part, variable string) string {
	t.Helper()
	if name := os.Getenv(variable); name != "" {
		return name
	}
	nodes, err := c.Core.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		for _, image := range node.Status.Images {
			for _, name := range image.Names {
				if strings.Contains(name, part) {
					return name
				}
			}
		}
	}
	t.Skipf("the cluster holds no image %s: load one, or name another in %s", part, variable)
	return ""
}
