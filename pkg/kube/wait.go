// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knowngood/knowngood/pkg/fault"
)

// A WaitSpec says what a wait is for.
type WaitSpec struct {
	// What names the thing and what is expected of it, e.g. "snapshot shop/db to be ready".
	What string
	// Timeout is the deadline of this wait; it must be above zero.
	Timeout time.Duration
	// Heartbeat is how often progress is told; zero means DefaultHeartbeat.
	Heartbeat time.Duration

	// Resource and Namespace tell what is watched, for errors.
	Resource  string
	Namespace string
	// Name limits the wait to one object; Selector to those with the labels. Both may be "".
	Name     string
	Selector string

	// TimeoutHint is what to do when the deadline is met; "" suggests a longer --timeout.
	TimeoutHint string
}

// DefaultHeartbeat is how often a wait says that it still waits.
const DefaultHeartbeat = 10 * time.Second

// Progress is what a check found.
type Progress struct {
	Done bool
	// State tells what is missing, for people; it ends up in the log and in the error of
	// the deadline. Text that came from the cluster goes through OneLine first.
	State string
	// Recheck asks for another look after this time even if nothing changes; zero does not.
	Recheck time.Duration
}

// A Source lists and watches one kind: any typed client of one resource is one.
type Source[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// An Object is a pointer to an API object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Wait watches the objects of a source until check says that it is done. Check gets all
// objects that the spec selects, sorted by name (none, when there are none), first as they
// are and then after each change. An error of check ends the wait: it stands for a state
// that no change can heal.
//
// A watch that ends or falls too far behind is begun again with a new list. While the API
// server is away the wait goes on; a refused permission or a missing API ends it. At the
// deadline the error wraps ErrTimeout and tells the last state; a cancelled context stays
// context.Canceled.
func Wait[T Object, L runtime.Object](
	ctx context.Context, c *Cluster, spec WaitSpec, source Source[L], check func([]T) (Progress, error),
) error {
	defer c.waited.start(c.Now)()
	waiting, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	selector, err := labels.Parse(spec.Selector)
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", spec.What, err)
	}
	w := &waiter[T, L]{cluster: c, spec: spec, source: source, check: check, selector: selector, began: c.Now()}
	if w.spec.Heartbeat == 0 {
		w.spec.Heartbeat = DefaultHeartbeat
	}
	err = w.run(waiting)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // cancelled from outside, or the caller's own deadline
		return fmt.Errorf("waiting for %s (%s): %w", spec.What, w.said(), ctx.Err())
	case waiting.Err() != nil && errors.Is(err, waiting.Err()):
		hint := spec.TimeoutHint
		if hint == "" {
			hint = "if it only needs longer, give a longer --timeout"
		}
		return fault.Hint(fmt.Errorf("waiting for %s: %w of %s met: %s", spec.What, ErrTimeout, spec.Timeout, w.said()), "%s", hint)
	}
	return err
}

// Named is a check of the one object that WaitSpec.Name selects; object is nil while it
// does not exist.
func Named[T Object](check func(object T) (Progress, error)) func([]T) (Progress, error) {
	return func(objects []T) (Progress, error) {
		if len(objects) == 0 {
			var none T
			return check(none)
		}
		return check(objects[0])
	}
}
