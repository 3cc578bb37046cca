// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"strings"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rotate"
	"github.com/knowngood/knowngood/pkg/step"
)

// RotatePrepare has certificates renewed before a deploy.
type RotatePrepare struct {
	subject   subject
	cluster   cluster
	preparing preparing
}

// Declare implements Step.
func (r *RotatePrepare) Declare(set *step.Set) {
	set.Name, set.Summary = "rotate prepare", "Have cert-manager renew certificates, so that the deploy that follows picks them up."
	set.Long = "A renewal is done when the Certificate has reached its next revision with another\n" +
		"serial. Certificates of authorities are left alone: whoever trusts one has to trust\n" +
		"its successor first. The new certificate is read from its CertificateRequest; no\n" +
		"Secret is read."
	set.Example = "knowngood rotate prepare --app shop --namespace shop --run \"$RUN\""
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	r.subject.declare(set)
	r.cluster.declare(set)
	r.preparing.declare(set)
}

// Run implements Step.
func (r *RotatePrepare) Run(ctx context.Context, run *Run) error {
	connected, err := r.cluster.connect(ctx, run)
	if err != nil {
		return err
	}
	if err := r.subject.inCluster(ctx, connected.Namespace, connected.UID); err != nil {
		return err
	}
	return r.subject.record(ctx, run, "rotate-prepare", func(ctx context.Context, e *release.Entry) error {
		return r.preparing.run(ctx, run, &r.cluster, e)
	})
}

// RotateProve proves that the present certificates are served.
type RotateProve struct {
	subject subject
	cluster cluster
	proving proving
}

// Declare implements Step.
func (r *RotateProve) Declare(set *step.Set) {
	set.Name, set.Summary = "rotate prove", "Restart or reload what still serves an older certificate, and prove on the wire that every ready pod serves the present one."
	set.Long = "Every ready pod that uses a Certificate's Secret is asked through the API server:\n" +
		"serial, chain, names and time. Annotations of the pod's template say how it is to\n" +
		"be treated:\n\n" +
		"  knowngood.dev/tls-port          ports that serve the certificate, e.g. \"8443\"\n" +
		"                                  or \"5432/postgresql\"; \"none\" for a client's\n" +
		"                                  certificate\n" +
		"  knowngood.dev/reload            command that makes the server read it anew, as\n" +
		"                                  a JSON array or words; without it the workload\n" +
		"                                  is restarted\n" +
		"  knowngood.dev/reload-container  where the command runs\n\n" +
		"Workloads are restarted one after the other, as kubectl does it, and none is\n" +
		"touched when one of them would be interrupted. There is no way back for a\n" +
		"certificate: pods that were not reached go on with the old one until it expires."
	set.Example = "knowngood rotate prove --app shop --namespace shop --run \"$RUN\""
	set.Faces = []step.Face{step.CLI, step.Action, step.Tekton}
	r.subject.declare(set)
	r.cluster.declare(set)
	r.proving.certificates.declare(set)
	r.proving.declare(set)
}

// Run implements Step.
func (r *RotateProve) Run(ctx context.Context, run *Run) error {
	connected, err := r.cluster.connect(ctx, run)
	if err != nil {
		return err
	}
	if err := r.subject.inCluster(ctx, connected.Namespace, connected.UID); err != nil {
		return err
	}
	return r.subject.record(ctx, run, "rotate-prove", func(ctx context.Context, e *release.Entry) error {
		return r.proving.run(ctx, run, &r.cluster, r.prepared(ctx, run), e)
	})
}

// prepared returns what rotate prepare has left in this run, nil where nothing is known. The
// proof does not hang on it: it knows by it what was replaced, and what must not be missing.
func (r *RotateProve) prepared(ctx context.Context, run *Run) *release.TLS {
	record, err := r.subject.read(ctx, run)
	if err != nil {
		run.Log.Warn("the record of this run could not be read whole", "error", err)
	}
	if before := record.Last("rotate-prepare"); before != nil {
		return before.TLS
	}
	run.Log.Info("rotate prepare has left nothing in this run; the present certificates are proved")
	return nil
}

// certificates holds the inputs that say which certificates are meant.
type certificates struct {
	selector    string
	authorities string
}

func (c *certificates) declare(set *step.Set) {
	set.Text(&c.selector, "certificates", "", "Label selector of the cert-manager Certificates; empty selects all of the namespace.")
	set.Text(&c.authorities, "authorities", "", "PEM file of the authorities to trust where an issuer does not name its own (ACME); empty trusts those of this machine.")
	set.Needs("list", "cert-manager.io/certificates", "find the Certificates")
	set.Needs("list", "cert-manager.io/certificaterequests", "read the issued certificates and their authorities, so that no Secret has to be read")
}

// request returns what both steps ask of package rotate.
func (c *certificates) request(run *Run, in *cluster) (rotate.Request, error) {
	request := rotate.Request{Selector: c.selector, Timeout: in.timeout}
	if c.authorities == "" {
		return request, nil
	}
	text, err := os.ReadFile(within(run.Dir, c.authorities))
	if err != nil {
		return request, fault.Usagef("authorities: %w", err)
	}
	found, err := cert.ParsePEM(text)
	if err != nil {
		return request, fault.Usagef("authorities %s: %w", c.authorities, err)
	}
	if len(found) == 0 {
		return request, fault.Usagef("authorities %s: there is no certificate in it", c.authorities)
	}
	request.Trusted = x509.NewCertPool()
	for _, authority := range found {
		request.Trusted.AddCert(authority)
	}
	return request, nil
}

// preparing holds the inputs of a renewal alone.
type preparing struct {
	certificates
	when string
}

func (p *preparing) declare(set *step.Set) {
	p.certificates.declare(set)
	set.Text(&p.when, "when", string(cert.Auto),
		"When certificates are renewed: auto (always where the issuer has no public rate limit, else when due), always, due or never.",
		step.Choices(cert.Whens()...))
	set.Output("rotated", "Names of the Certificates that were renewed, separated by commas.")
	set.Needs("get,watch", "cert-manager.io/certificates", "await the renewal")
	set.Needs("update", "cert-manager.io/certificates/status", "ask for a renewal, as cmctl does")
	set.Needs("get", "cert-manager.io/issuers", "tell whether the issuer is ready, and whether it rations renewals")
	set.NeedsCluster("get", "cert-manager.io/clusterissuers", "the same of issuers for the whole cluster")
}

// run renews and leaves what was renewed in the entry, also when only some could be.
func (p *preparing) run(ctx context.Context, run *Run, c *cluster, e *release.Entry) error {
	request, err := p.request(run, c)
	if err != nil {
		return err
	}
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	request.When = cert.When(p.when)
	before := connected.Waited()
	left, err := rotate.Prepare(ctx, connected, request)
	keepTLS(run, connected, e, left, before.Seconds())
	for _, rotation := range left.Rotations {
		if !rotation.Renewed && rotation.Error == "" {
			run.Log.Info("not renewed", "certificate", rotation.Name, "why", rotation.Why)
		}
	}
	return errors.Join(err, run.Host.Output("rotated", namesOf(left, func(r release.Rotation) bool { return r.Renewed })))
}

// proving holds the inputs of a proof alone. Which certificates are meant is declared by the
// step that has the group.
type proving struct {
	certificates
	allowDowntime bool
}

func (p *proving) declare(set *step.Set) {
	set.Bool(&p.allowDowntime, "allow-downtime", false, "Restart also what a restart may interrupt, e.g. a workload with one replica.")
	set.Output("proved", "Names of the Certificates that every ready pod was proved to serve, separated by commas.")
	for _, workloads := range []string{"apps/deployments", "apps/statefulsets", "apps/daemonsets"} {
		set.Needs("list,watch,patch", workloads, "find who uses a Secret, restart those that serve an older certificate, await the rollout")
	}
	set.Needs("list,patch", "pods", "find the pods that have to serve it, and have the kubelet bring a new Secret earlier")
	set.Needs("get", "apps/replicasets", "follow a pod to its workload")
	set.Needs("get", "batch/jobs", "follow a pod to its workload")
	set.Needs("list", "services", "find the ports that serve a certificate")
	set.Needs("list", "networking.k8s.io/ingresses", "name the certificates that an ingress controller serves")
	set.Needs("list", "policy/poddisruptionbudgets", "tell whether a restart leaves enough pods")
	set.Needs("create,get", "pods/portforward", "see on the wire which certificate a pod serves (get: servers before 1.35)")
	set.Needs("create,get", "pods/exec", "run the reload command of a pod (get: servers before 1.35)")
}

// run proves and leaves the proofs in the entry, also those that failed. prepared is what
// Prepare has left in this run, nil when that is not known.
func (p *proving) run(ctx context.Context, run *Run, c *cluster, prepared *release.TLS, e *release.Entry) error {
	request, err := p.request(run, c)
	if err != nil {
		return err
	}
	connected, err := c.connect(ctx, run)
	if err != nil {
		return err
	}
	request.AllowDowntime, request.Prepared = p.allowDowntime, prepared
	before := connected.Waited()
	left, err := rotate.Prove(ctx, connected, request)
	keepTLS(run, connected, e, left, before.Seconds())
	return errors.Join(err, run.Host.Output("proved", namesOf(left, proved)))
}

func keepTLS(run *Run, c *kube.Cluster, e *release.Entry, left release.TLS, waitedBefore float64) {
	e.TLS, e.Waited = &left, c.Waited().Seconds()-waitedBefore
	for _, skipped := range left.Skipped {
		run.Log.Info("skipped", "what", skipped)
	}
}

// proved tells whether a certificate is proved: on the wire, and everywhere.
func proved(r release.Rotation) bool {
	for _, proof := range r.Proofs {
		if !proof.Proved {
			return false
		}
	}
	return len(r.Proofs) > 0 && r.Error == ""
}

func namesOf(left release.TLS, which func(release.Rotation) bool) string {
	var names []string
	for _, rotation := range left.Rotations {
		if which(rotation) {
			names = append(names, rotation.Name)
		}
	}
	return strings.Join(names, ",")
}
