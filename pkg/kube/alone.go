// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/knowngood/knowngood/pkg/fault"
)

// ErrOwner is the error of work that was ended because its Lease could not be renewed: another may
// have begun the same.
var ErrOwner = errors.New("the lease ran out")

// How long a Lease lasts unless it is renewed, and how often it is: one that was killed holds the
// next one up for no longer than ownerLasts.
const (
	ownerLasts = 30 * time.Second
	ownerGives = 20 * time.Second
	ownerTries = 3 * time.Second
)

const leases = "coordination.k8s.io/leases"

// How far Alone has come.
const (
	waiting int32 = iota
	begun
	givenUp
)

// Alone does the work while no other does what bears the name in the cluster's namespace. It waits
// for another for as long as is given. The work's context ends when the Lease is lost.
func (c *Cluster) Alone(ctx context.Context, name string, wait time.Duration, work func(context.Context) error) error {
	o := &owner{cluster: c, work: work, done: make(chan struct{})}
	running, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), klog.Logger{}))
	defer end()
	o.end = end
	patience, enough := context.WithTimeout(ctx, wait)
	defer enough()
	defer context.AfterFunc(patience, func() {
		if o.state.CompareAndSwap(waiting, givenUp) {
			end()
		}
	})()
	o.Interface = &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name}, Client: c.Core.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: ownName()},
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: o, LeaseDuration: ownerLasts, RenewDeadline: ownerGives, RetryPeriod: ownerTries, ReleaseOnCancel: true, Name: name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { o.lead(ctx, held) }, OnStoppedLeading: func() {}, OnNewLeader: o.sees,
		},
	})
	if err != nil {
		return err
	}
	stop := c.Waiting()
	o.stopped = stop
	elector.Run(running)
	if o.state.CompareAndSwap(waiting, givenUp); o.state.Load() == begun {
		<-o.done
		return o.err
	}
	stop()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case o.refused != nil:
		return o.refused
	}
	return fault.Hint(fmt.Errorf("%s in namespace %s is held by %s", name, c.Namespace, OneLine(elector.GetLeader())),
		"run it again when that has ended; one that was killed holds nobody up for more than %s", ownerLasts)
}

// ownName tells this process from all others.
func ownName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%.80s, process %d, %s", host, os.Getpid(), rand.Text()[:8])
}

// An owner is one Alone.
type owner struct {
	resourcelock.Interface

	cluster *Cluster
	work    func(context.Context) error
	end     context.CancelFunc
	stopped func()
	state   atomic.Int32
	// refused is set before end is called.
	refused error

	done chan struct{}
	err  error // read after done is closed
}

// lead does the work. The Lease is given back once it has ended, and not before.
func (o *owner) lead(ctx, held context.Context) {
	if !o.state.CompareAndSwap(waiting, begun) {
		return
	}
	o.stopped()
	defer close(o.done)
	defer o.end()
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	defer context.AfterFunc(held, func() { lose(ErrOwner) })()
	o.err = o.work(ctx)
	if o.err != nil && errors.Is(context.Cause(ctx), ErrOwner) {
		o.err = errors.Join(ErrOwner, o.err)
	}
}

func (o *owner) sees(holder string) {
	if holder != "" && holder != o.Identity() {
		o.cluster.Log.Info("waiting for another to end", "lease", o.Describe(), "owner", OneLine(holder))
	}
}

// Get implements resourcelock.Interface.
func (o *owner) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := o.Interface.Get(ctx)
	return record, raw, o.refuse(ctx, "get", err)
}

// Create implements resourcelock.Interface.
func (o *owner) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return o.refuse(ctx, "create", o.Interface.Create(ctx, record))
}

// Update implements resourcelock.Interface.
func (o *owner) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return o.refuse(ctx, "update", o.Interface.Update(ctx, record))
}

// refuse ends the waiting where it could not help.
func (o *owner) refuse(ctx context.Context, verb string, err error) error {
	if apierrors.IsForbidden(err) && o.state.Load() == waiting {
		o.refused = o.cluster.Explain(ctx, Call{Verb: verb, Resource: leases, Namespace: o.cluster.Namespace}, err)
		o.end()
	}
	return err
}
