// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/fakecluster"
	"github.com/knowngood/knowngood/test/realcluster"
)

func TestASecretIsMadeOnceAndRead(t *testing.T) {
	t.Parallel()
	secrets(t, fakecluster.New(t, "shop").Cluster)
}

func TestRealSecretIsMadeOnceAndRead(t *testing.T) {
	t.Parallel()
	secrets(t, realcluster.New(t, "secret").Cluster)
}

func secrets(t *testing.T, c *kube.Cluster) {
	namespace, name, err := c.SecretName("backup-key")
	if err != nil || namespace != c.Namespace || name != "backup-key" {
		t.Fatalf("SecretName = %q, %q, %v", namespace, name, err)
	}
	if _, err := c.ReadSecret(t.Context(), namespace, name, "password"); !errors.Is(err, kube.ErrNoSecret) {
		t.Errorf("read of an absent Secret: %v", err)
	}
	if err := c.MakeSecret(t.Context(), namespace, name, "password", []byte("first value of it")); err != nil {
		t.Fatal(err)
	}
	err = c.MakeSecret(t.Context(), namespace, name, "password", []byte("second value of it"))
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("the second is made: %v", err)
	}
	if got, err := c.ReadSecret(t.Context(), namespace, name, "password"); err != nil || string(got) != "first value of it" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := c.ReadSecret(t.Context(), namespace, name, "key"); fault.StatusOf(err) != fault.Usage || strings.Contains(err.Error(), "value of it") {
		t.Errorf("another value of it: %v", err)
	}
}

func TestNamesOfSecrets(t *testing.T) {
	t.Parallel()
	c := fakecluster.New(t, "shop").Cluster
	if namespace, name, err := c.SecretName("vault/backup.key"); err != nil || namespace != "vault" || name != "backup.key" {
		t.Errorf("SecretName = %q, %q, %v", namespace, name, err)
	}
	for _, text := range []string{"", "/", "a/", "/b", "a/b/c", "A", "a b", "../x", "-"} {
		if _, _, err := c.SecretName(text); fault.StatusOf(err) != fault.Usage {
			t.Errorf("SecretName(%q): %v", text, err)
		}
	}
}
