// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// ErrNoSecret is the error of a Secret that is not there.
var ErrNoSecret = errors.New("there is no such Secret")

// SecretName reads NAME or NAMESPACE/NAME; without a namespace it is the cluster's own.
func (c *Cluster) SecretName(text string) (namespace, name string, err error) {
	namespace, name, found := strings.Cut(text, "/")
	if !found {
		namespace, name = c.Namespace, text
	}
	if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
		return "", "", fault.Usagef("Secret %.80q: its namespace: %s", text, wrong[0])
	}
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return "", "", fault.Usagef("Secret %.80q: %s", text, wrong[0])
	}
	return namespace, name, nil
}

// ReadSecret returns one value of a Secret. ErrNoSecret tells a Secret that is not there.
func (c *Cluster) ReadSecret(ctx context.Context, namespace, name, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	secret, err := c.Core.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	call := Call{Verb: "get", Resource: "secrets", Namespace: namespace, Name: name}
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s: %w", call, ErrNoSecret)
	} else if err != nil {
		return nil, c.Explain(ctx, call, err)
	}
	value, ok := secret.Data[key]
	if !ok || len(value) == 0 {
		return nil, fault.Usagef("Secret %s in namespace %s has no value under %q", name, namespace, key)
	}
	return value, nil
}

// MakeSecret makes a Secret of one value. One of the name that is there already stays as it
// is, and is an error of usage. What is made cannot be changed, only deleted.
func (c *Cluster) MakeSecret(ctx context.Context, namespace, name, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	immutable := true
	_, err := c.Core.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace, Labels: map[string]string{release.LabelManagedBy: release.ManagedBy},
		},
		Immutable: &immutable, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{key: value},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fault.Usagef("Secret %s in namespace %s exists already", name, namespace)
	}
	return c.Explain(ctx, Call{Verb: "create", Resource: "secrets", Namespace: namespace, Name: name}, err)
}
