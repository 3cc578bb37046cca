// SPDX-License-Identifier: Apache-2.0

package certmanager

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knowngood/knowngood/test/peer"
)

// control answers every Certificate that is Issuing, one after the other.
func (d *Double) control(watching watch.Interface) {
	for {
		select {
		case event, open := <-watching.ResultChan():
			if !open {
				return
			}
			if c, ok := event.Object.(*cmapi.Certificate); ok && event.Type != watch.Deleted {
				d.reconcile(c.Name)
			}
		case name := <-d.kicks:
			d.reconcile(name)
		case <-d.t.Context().Done():
			return
		}
	}
}

// reconcile looks at a Certificate as it is, whatever made it look.
func (d *Double) reconcile(name string) {
	ctx := d.t.Context()
	c, err := d.Client.CertmanagerV1().Certificates(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return // deleted
	}
	d.mu.Lock()
	mood := d.moods[name]
	d.mu.Unlock()
	if mood == Absent || !isIssuing(c) || c.Status.NextPrivateKeySecretName != nil {
		return // nobody there, nothing asked, or under way
	}
	if err := d.issue(ctx, c, mood); err != nil && ctx.Err() == nil {
		d.t.Errorf("cert-manager's double: %v", err)
	}
}

func isIssuing(c *cmapi.Certificate) bool {
	return slices.ContainsFunc(c.Status.Conditions, func(known cmapi.CertificateCondition) bool {
		return known.Type == cmapi.CertificateConditionIssuing && known.Status == cmmeta.ConditionTrue
	})
}

func (d *Double) issue(ctx context.Context, c *cmapi.Certificate, mood Mood) error {
	key := c.Name + "-next"
	c.Status.NextPrivateKeySecretName = &key
	if err := d.update(ctx, c); err != nil {
		return err
	}
	next := 1
	if c.Status.Revision != nil {
		next = *c.Status.Revision + 1
	}
	request, old, err := d.request(ctx, c, next)
	if err != nil {
		return err
	}
	if old != "" {
		return d.fail(ctx, c, cmapi.CertificateRequestReasonFailed, old) // taken for the answer to this attempt
	}
	switch mood {
	case Pends:
		return d.answer(ctx, request, cmapi.CertificateRequestReasonPending, "the issuer is busy")
	case Unapproved:
		request.Status.Conditions = nil
		_, err := d.Client.CertmanagerV1().CertificateRequests(Namespace).UpdateStatus(ctx, request, metav1.UpdateOptions{})
		return err
	case Fails:
		failed := metav1.NewTime(d.now())
		request.Status.FailureTime = &failed
		if err := d.answer(ctx, request, cmapi.CertificateRequestReasonFailed, "the issuer refuses the name"); err != nil {
			return err
		}
		return d.fail(ctx, c, cmapi.CertificateRequestReasonFailed, "the issuer refuses the name")
	case Denies:
		request.Status.Conditions = []cmapi.CertificateRequestCondition{{Type: cmapi.CertificateRequestConditionDenied, Status: cmmeta.ConditionTrue}}
		if err := d.answer(ctx, request, cmapi.CertificateRequestReasonDenied, "policy says no"); err != nil {
			return err
		}
		return d.fail(ctx, c, cmapi.CertificateRequestReasonDenied, "policy says no")
	default:
		return d.deliver(ctx, c, request, next, mood)
	}
}

// request makes the CertificateRequest of a revision, or returns what cert-manager takes for
// the answer: the message of a failed one of an earlier attempt.
func (d *Double) request(ctx context.Context, c *cmapi.Certificate, next int) (made *cmapi.CertificateRequest, old string, err error) {
	client := d.Client.CertmanagerV1().CertificateRequests(Namespace)
	name := fmt.Sprintf("%s-%d", c.Name, next)
	if failed, err := client.Get(ctx, name, metav1.GetOptions{}); err == nil {
		if failed.Status.FailureTime != nil && !older(failed.Status.FailureTime, c) {
			return nil, "left from the attempt before", nil
		}
		if err := client.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return nil, "", err
		}
		if failed.Status.FailureTime == nil { // denied: it goes for its key, a moment too late
			return nil, "left from the attempt before", nil
		}
	}
	controller := true
	request, err := client.Create(ctx, &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: Namespace, CreationTimestamp: metav1.NewTime(d.now()),
			UID:         types.UID(fmt.Sprintf("%s-%d", name, d.made.Add(1))),
			Annotations: map[string]string{cmapi.CertificateRequestRevisionAnnotationKey: strconv.Itoa(next)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: c.Name, UID: c.UID, Controller: &controller,
			}},
		},
		Spec: cmapi.CertificateRequestSpec{IssuerRef: c.Spec.IssuerRef},
		Status: cmapi.CertificateRequestStatus{Conditions: []cmapi.CertificateRequestCondition{
			{Type: cmapi.CertificateRequestConditionApproved, Status: cmmeta.ConditionTrue},
		}},
	}, metav1.CreateOptions{})
	return request, "", err
}

// older tells whether a failure lies before the condition Issuing, in whole seconds.
func older(failure *metav1.Time, c *cmapi.Certificate) bool {
	for _, condition := range c.Status.Conditions {
		if condition.Type == cmapi.CertificateConditionIssuing {
			return failure.Truncate(time.Second).Before(condition.LastTransitionTime.Truncate(time.Second))
		}
	}
	return false
}

func (d *Double) answer(ctx context.Context, request *cmapi.CertificateRequest, reason, message string) error {
	status := cmmeta.ConditionFalse
	if reason == cmapi.CertificateRequestReasonIssued {
		status = cmmeta.ConditionTrue
	}
	request.Status.Conditions = append(request.Status.Conditions, cmapi.CertificateRequestCondition{
		Type: cmapi.CertificateRequestConditionReady, Status: status, Reason: reason, Message: message,
	})
	_, err := d.Client.CertmanagerV1().CertificateRequests(Namespace).UpdateStatus(ctx, request, metav1.UpdateOptions{})
	return err
}

func (d *Double) fail(ctx context.Context, c *cmapi.Certificate, reason, message string) error {
	failed := metav1.NewTime(d.now())
	attempts := 1
	if c.Status.FailedIssuanceAttempts != nil {
		attempts += *c.Status.FailedIssuanceAttempts
	}
	c.Status.LastFailureTime, c.Status.FailedIssuanceAttempts = &failed, &attempts
	c.Status.NextPrivateKeySecretName = nil
	setCondition(c, cmapi.CertificateCondition{
		Type: cmapi.CertificateConditionIssuing, Status: cmmeta.ConditionFalse, Reason: reason, LastTransitionTime: &failed,
		Message: "The certificate request has failed to complete and will be retried: " + message,
	})
	return d.update(ctx, c)
}

// deliver signs, stores, and moves the revision on. Earlier requests go, as the default
// revisionHistoryLimit of 1 wants it.
func (d *Double) deliver(ctx context.Context, c *cmapi.Certificate, request *cmapi.CertificateRequest, next int, mood Mood) error {
	signed := d.Served(c.Spec.SecretName)
	if mood != Repeats {
		signed = d.Authority.Issue(d.t, peer.Order{Names: c.Spec.DNSNames, Subject: c.Spec.CommonName})
	}
	request.Status.Certificate, request.Status.CA = peer.PEM(signed.Leaf), d.Authority.PEM()
	if err := d.answer(ctx, request, cmapi.CertificateRequestReasonIssued, "Certificate fetched from issuer successfully"); err != nil {
		return err
	}
	d.mu.Lock()
	d.last[c.Spec.SecretName] = signed
	d.mu.Unlock()
	d.Stored(c.Spec.SecretName, signed)
	d.settle(c, signed, next)
	if err := d.prune(ctx, c, request.Name, mood); err != nil {
		return err
	}
	return d.update(ctx, c)
}

func (d *Double) prune(ctx context.Context, c *cmapi.Certificate, keep string, mood Mood) error {
	client := d.Client.CertmanagerV1().CertificateRequests(Namespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		other := &list.Items[i]
		if !metav1.IsControlledBy(other, c) || other.Name == keep && mood != Forgets {
			continue
		}
		if err := client.Delete(ctx, other.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// settle writes the status of a Certificate that has just been issued.
func (d *Double) settle(c *cmapi.Certificate, signed tls.Certificate, next int) {
	begin, end := metav1.NewTime(signed.Leaf.NotBefore), metav1.NewTime(signed.Leaf.NotAfter)
	renewal := metav1.NewTime(begin.Add(end.Sub(begin.Time) * 2 / 3))
	c.Status = cmapi.CertificateStatus{
		Revision: &next, NotBefore: &begin, NotAfter: &end, RenewalTime: &renewal,
		Conditions: []cmapi.CertificateCondition{{Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionTrue}},
	}
}

func setCondition(c *cmapi.Certificate, condition cmapi.CertificateCondition) {
	c.Status.Conditions = slices.DeleteFunc(c.Status.Conditions, func(known cmapi.CertificateCondition) bool {
		return known.Type == condition.Type
	})
	c.Status.Conditions = append(c.Status.Conditions, condition)
}

func (d *Double) update(ctx context.Context, c *cmapi.Certificate) error {
	_, err := d.Client.CertmanagerV1().Certificates(Namespace).UpdateStatus(ctx, c, metav1.UpdateOptions{})
	return err
}
