// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"context"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Account makes a service account that may do what the rules say, within the namespace and
// in the whole cluster, and returns the path of a kubeconfig with its token.
func (c *Cluster) Account(t *testing.T, name string, within, whole []rbacv1.PolicyRule) string {
	t.Helper()
	core, rbac := c.Core.CoreV1(), c.Core.RbacV1()
	meta := metav1.ObjectMeta{Namespace: c.Namespace, Name: name}
	wide := metav1.ObjectMeta{Name: c.Namespace + "-" + name}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.Namespace, Name: name}}
	bound := func(kind, role string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	}
	var errs [5]error
	_, errs[0] = core.ServiceAccounts(c.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, errs[1] = rbac.Roles(c.Namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: within}, metav1.CreateOptions{})
	_, errs[2] = rbac.RoleBindings(c.Namespace).Create(t.Context(),
		&rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: bound("Role", name)}, metav1.CreateOptions{})
	_, errs[3] = rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: wide, Rules: whole}, metav1.CreateOptions{})
	_, errs[4] = rbac.ClusterRoleBindings().Create(t.Context(),
		&rbacv1.ClusterRoleBinding{ObjectMeta: wide, Subjects: subjects, RoleRef: bound("ClusterRole", wide.Name)}, metav1.CreateOptions{})
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = rbac.ClusterRoleBindings().Delete(ctx, wide.Name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(ctx, wide.Name, metav1.DeleteOptions{})
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c.As(t, name)
}

// As returns the path of a kubeconfig with a token of a service account that is there.
func (c *Cluster) As(t *testing.T, name string) string {
	t.Helper()
	token, err := c.Core.CoreV1().ServiceAccounts(c.Namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.kubeconfig(t, token.Status.Token)
}

func (c *Cluster) kubeconfig(t *testing.T, token string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: c.REST.Host, CertificateAuthority: c.REST.CAFile, CertificateAuthorityData: c.REST.CAData,
		TLSServerName: c.REST.ServerName,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: c.Namespace}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
