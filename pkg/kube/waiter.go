// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// A waiter is one wait under way: what it watches and what it saw last.
type waiter[T Object, L runtime.Object] struct {
	cluster *Cluster
	spec    WaitSpec
	source  Source[L]
	check   func([]T) (Progress, error)

	began    time.Time
	selector labels.Selector
	state    string
	objects  map[string]T
}

func (w *waiter[T, L]) said() string {
	if w.state == "" {
		return "nothing seen yet"
	}
	return "last state: " + w.state
}

// Pauses between lists when the API server is away or ends each watch at once.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
)

// run lists and watches until done, again and again.
func (w *waiter[T, L]) run(ctx context.Context) error {
	heartbeat := time.NewTicker(w.spec.Heartbeat)
	defer heartbeat.Stop()
	pause := firstPause
	for {
		began := w.cluster.Now()
		done, err := w.round(ctx, heartbeat.C)
		if done || err != nil {
			return err
		}
		if w.cluster.Now().Sub(began) > lastPause {
			pause = firstPause
		}
		if err := w.rest(ctx, pause, heartbeat.C); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// rest waits before the next list and keeps the heartbeat.
func (w *waiter[T, L]) rest(ctx context.Context, pause time.Duration, heartbeat <-chan time.Time) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-heartbeat:
			w.tell()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round is one list and the watch that follows it. It returns false and no error when the
// caller should begin another.
func (w *waiter[T, L]) round(ctx context.Context, heartbeat <-chan time.Time) (done bool, err error) {
	list, err := w.source.List(ctx, w.options(""))
	if err != nil {
		return false, w.passing(ctx, "list", err)
	}
	if err := w.fill(list); err != nil {
		return false, err
	}
	progress, err := w.look()
	if progress.Done || err != nil {
		return progress.Done, err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return false, fmt.Errorf("waiting for %s: %w", w.spec.What, err)
	}
	watcher, err := w.source.Watch(ctx, w.options(accessor.GetResourceVersion()))
	if err != nil {
		return false, w.passing(ctx, "watch", err)
	}
	defer watcher.Stop()
	return w.follow(ctx, watcher, progress.Recheck, heartbeat)
}

func (w *waiter[T, L]) follow(ctx context.Context, watcher watch.Interface, recheck time.Duration, heartbeat <-chan time.Time) (bool, error) {
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		again.Stop()
		if recheck > 0 {
			again.Reset(recheck)
		}
		select {
		case event, open := <-watcher.ResultChan():
			if !open || event.Type == watch.Error {
				return false, nil // a new list tells more than the watch's error
			}
			w.apply(event)
		case <-again.C:
		case <-heartbeat:
			w.tell()
		case <-ctx.Done():
			return false, ctx.Err()
		}
		progress, err := w.look()
		if progress.Done || err != nil {
			return progress.Done, err
		}
		recheck = progress.Recheck
	}
}

// look asks check, and tells when the state is another than before.
func (w *waiter[T, L]) look() (Progress, error) {
	sorted := make([]T, 0, len(w.objects))
	for _, object := range w.objects {
		sorted = append(sorted, object)
	}
	slices.SortFunc(sorted, func(a, b T) int { return strings.Compare(a.GetName(), b.GetName()) })
	progress, err := w.check(sorted)
	if err != nil {
		return progress, err
	}
	if progress.State != w.state && !progress.Done {
		w.state = progress.State
		w.tell()
	}
	return progress, nil
}

func (w *waiter[T, L]) tell() {
	w.cluster.Log.Info("waiting", "what", w.spec.What, "state", w.state,
		"seconds", int(w.cluster.Now().Sub(w.began).Round(time.Second).Seconds()))
}

// passing keeps an error that time may heal as the state, and returns one that it cannot.
func (w *waiter[T, L]) passing(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	explained := w.cluster.Explain(ctx, Call{verb, w.spec.Resource, w.spec.Namespace, w.spec.Name}, err)
	if errors.Is(explained, ErrForbidden) || errors.Is(explained, ErrNoAPI) || apierrors.IsUnauthorized(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("waiting for %s: %w", w.spec.What, explained)
	}
	if state := OneLine(explained.Error()); state != w.state {
		w.state = state
		w.tell()
	}
	return nil
}

func (w *waiter[T, L]) options(version string) metav1.ListOptions {
	options := metav1.ListOptions{LabelSelector: w.spec.Selector, ResourceVersion: version, AllowWatchBookmarks: version != ""}
	if w.spec.Name != "" {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.spec.Name).String()
	}
	return options
}

func (w *waiter[T, L]) fill(list L) error {
	items, err := meta.ExtractList(list)
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", w.spec.What, err)
	}
	w.objects = make(map[string]T, len(items))
	for _, item := range items {
		w.apply(watch.Event{Type: watch.Added, Object: item})
	}
	return nil
}

// apply keeps the state of the selected objects. It does not rely on the server's having
// selected them.
func (w *waiter[T, L]) apply(event watch.Event) {
	object, ok := event.Object.(T)
	if !ok || event.Type == watch.Bookmark || w.spec.Name != "" && object.GetName() != w.spec.Name {
		return
	}
	key := object.GetNamespace() + "/" + object.GetName()
	if event.Type == watch.Deleted || !w.selector.Matches(labels.Set(object.GetLabels())) {
		delete(w.objects, key)
		return
	}
	w.objects[key] = object
}
