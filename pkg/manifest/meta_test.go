// SPDX-License-Identifier: Apache-2.0

package manifest_test

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

var (
	metav1Get    = metav1.GetOptions{}
	metav1Update = metav1.UpdateOptions{}
)

func metaOf(name string, annotations map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: annotations}
}
