// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/rollout"
)

const (
	// lookTimeout is how long one connection may take, from dialling to the certificate.
	lookTimeout = 10 * time.Second
	// looks is how often a connection is tried: the way to a pod leads through the API server
	// and the kubelet, which both hiccup.
	looks     = 3
	lookPause = 300 * time.Millisecond
	// maxNames is under how many of its names a certificate is asked for at each port.
	maxNames = 8
)

// A sighting is what one endpoint of one pod was seen to serve.
type sighting struct {
	endpoint rollout.Endpoint
	// like is "" when no certificate was seen.
	like   cert.Likeness
	serial string
	// neighbour is true when what was seen is another Certificate's.
	neighbour bool
	at        time.Time
	// err says what is wrong with what was seen, or why nothing was.
	err error
}

// see asks an endpoint for the target, under each of the names.
func (p *prover) see(ctx context.Context, pod *corev1.Pod, t *target, endpoint rollout.Endpoint) sighting {
	seen := sighting{endpoint: endpoint}
	names := t.wanted.ServerNames()
	var foreign error
	for _, name := range names[:min(len(names), maxNames)] {
		served, err := p.ask(ctx, pod, endpoint, name)
		seen.at = p.cluster.Now().UTC()
		if err != nil {
			seen.err = err
			return seen
		}
		like, neighbour := p.like(t, served.Leaf())
		if like == cert.Foreign {
			if !neighbour {
				foreign = fmt.Errorf("asked for %q it serves serial %s, which no Certificate here has", name, cert.Serial(served.Leaf()))
			}
			if seen.like == "" {
				seen.like, seen.serial, seen.neighbour = like, cert.Serial(served.Leaf()), neighbour
			}
			continue
		}
		seen.serial, seen.neighbour = cert.Serial(served.Leaf()), false
		if seen.like = like; like == cert.Stale {
			seen.err = t.wanted.Check(served, p.cluster.Now())
			return seen
		}
		seen.err = errors.Join(seen.err, t.wanted.Check(served, p.cluster.Now()))
	}
	if foreign != nil && (seen.like == cert.Same || !seen.passable()) {
		seen.err = errors.Join(seen.err, foreign)
	}
	return seen
}

// ask makes a connection and looks at it. What may pass is tried again.
func (p *prover) ask(ctx context.Context, pod *corev1.Pod, endpoint rollout.Endpoint, name string) (cert.Served, error) {
	var last error
	for attempt := range looks {
		if attempt > 0 && !pause(ctx, lookPause) {
			return cert.Served{}, ctx.Err()
		}
		served, err := p.askOnce(ctx, pod, endpoint, name)
		if err == nil || ctx.Err() != nil || isFinal(err) {
			return served, err
		}
		last = err
	}
	return cert.Served{}, last
}

// isFinal tells whether asking again at once is of no use.
func isFinal(err error) bool {
	return errors.Is(err, kube.ErrForbidden) || errors.Is(err, kube.ErrRefused) || errors.Is(err, cert.ErrSilent)
}

func (p *prover) askOnce(ctx context.Context, pod *corev1.Pod, endpoint rollout.Endpoint, name string) (cert.Served, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	protocol, err := cert.ParseProtocol(endpoint.Protocol)
	if err != nil {
		return cert.Served{}, err
	}
	conn, err := p.cluster.Streams.Dial(ctx, pod.Namespace, pod.Name, endpoint.Port)
	if err != nil {
		return cert.Served{}, err
	}
	return cert.Look(ctx, conn, protocol, name)
}

// pause waits, and tells whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// passable tells whether an endpoint may be left aside: it was seen that it serves another
// Certificate's, or nobody said that this one is served there and it was seen that it is not.
func (s sighting) passable() bool {
	if s.neighbour || s.endpoint.Declared {
		return s.neighbour
	}
	return s.like == cert.Foreign || errors.Is(s.err, cert.ErrPlain) || errors.Is(s.err, kube.ErrRefused)
}

// stale tells whether the pod has to be brought up to date. A port that was declared and
// serves what nobody knows may serve an older certificate of other names.
func (s sighting) stale() bool {
	return s.like == cert.Stale || s.like == cert.Foreign && !s.passable()
}

func (s sighting) proof(pod string) release.Proof {
	proof := release.Proof{
		Pod: pod, Port: s.endpoint.Port, Protocol: s.endpoint.Protocol, Serial: s.serial, At: s.at,
		Proved: s.like == cert.Same && s.err == nil,
	}
	if s.err != nil {
		proof.Error = kube.OneLine(s.err.Error())
	}
	return proof
}
