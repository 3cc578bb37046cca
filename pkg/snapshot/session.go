// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// A session is one pod while its hook holds.
type session struct {
	hook   hook
	record release.Hook
	// quiet is set when the quiescing command succeeded.
	quiet bool
	// doubts are reasons why a quiesced pod proves nothing.
	doubts []string
	// held is the running command of a held hook, nil for a pair.
	held *postgres
	// label is PostgreSQL's backup_label, once thawed.
	label string
}

// ended is closed when a held hook has ended by itself; nil, which blocks, for a pair.
func (s *session) ended() <-chan struct{} {
	if s.held == nil {
		return nil
	}
	return s.held.held.Ended()
}

// quiesce begins all hooks at once. When one fails that may not, all are thawed again and the
// error tells.
func (t *taking) quiesce(ctx context.Context) ([]*session, error) {
	sessions := make([]*session, len(t.hooks))
	errs := make([]error, len(t.hooks))
	var all sync.WaitGroup
	for i, h := range t.hooks {
		sessions[i] = newSession(h)
		all.Go(func() { errs[i] = t.begin(ctx, sessions[i]) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, s := range sessions {
			all.Go(func() { t.thaw(ctx, s) })
		}
		all.Wait()
		return sessions, err
	}
	return sessions, nil
}

func newSession(h hook) *session {
	s := &session{hook: h, record: release.Hook{Pod: h.pod.Name}}
	switch {
	case h.held != nil:
		s.record.Source, s.record.Container, s.record.Held = "postgresql recipe", h.held.container, true
	case h.pair.pre != nil:
		s.record.Source, s.record.Container = "velero annotation", h.pair.pre.container
	default:
		s.record.Source, s.record.Container = "velero annotation", h.pair.post.container
	}
	return s
}

// begin quiesces one pod.
func (t *taking) begin(ctx context.Context, s *session) error {
	s.record.Quiesce.Began = t.cluster.Now()
	err := t.quiesceOne(ctx, s)
	s.record.Quiesce.Ended = t.cluster.Now()
	pod := s.hook.pod
	if err != nil {
		err = fmt.Errorf("quiesce pod %s/%s: %w", pod.Namespace, pod.Name, err)
		s.record.Quiesce.Error = kube.OneLine(err.Error())
		if s.hook.pair != nil && s.hook.pair.pre.goOn && ctx.Err() == nil {
			t.note("%s; its on-error says Continue", kube.OneLine(err.Error()))
			return nil
		}
		return fault.Hint(err, "mend the hook, or take snapshots without it: annotate the pod with %s=skip", AnnotationHooks)
	}
	s.quiet = true
	t.cluster.Log.Info("pod quiesced", "pod", pod.Name, "source", s.record.Source,
		"seconds", s.record.Quiesce.Ended.Sub(s.record.Quiesce.Began).Seconds())
	return nil
}

func (t *taking) quiesceOne(ctx context.Context, s *session) error {
	pod := s.hook.pod
	if s.hook.held != nil {
		held, err := t.holdPostgres(ctx, s.hook)
		if err != nil {
			return err
		}
		s.held = held
		s.doubts = held.doubts
		return nil
	}
	pre := s.hook.pair.pre
	if pre == nil {
		s.doubts = append(s.doubts, "its hook has nothing that runs before the cut")
		return nil
	}
	_, err := t.cluster.Streams.Exec(ctx, kube.Command{
		Namespace: pod.Namespace, Pod: pod.Name, Container: pre.container, Args: pre.args, Timeout: pre.timeout,
	})
	return err
}

// holdUntilCut keeps a pod quiesced until all its claims are cut, its time is over, its hook
// ended by itself or we were cancelled, and thaws it.
func (t *taking) holdUntilCut(ctx context.Context, s *session) {
	over := time.NewTimer(s.hook.hold)
	defer over.Stop()
	defer t.thaw(ctx, s)
	for _, target := range s.hook.claims {
		select {
		case <-target.cut:
		case <-s.ended():
			s.doubts = append(s.doubts, "its hook ended before the storage had cut the snapshot")
			return
		case <-over.C:
			s.doubts = append(s.doubts, fmt.Sprintf("the storage took longer than the %s for which it may be quiesced", s.hook.hold))
			return
		case <-ctx.Done():
			return
		}
	}
}

// thaw ends a session, on every path and also after cancellation. A pod whose quiescing failed
// is thawed too: nobody knows how far it came.
func (t *taking) thaw(ctx context.Context, s *session) {
	thawing := context.WithoutCancel(ctx)
	s.record.Thaw.Began = t.cluster.Now()
	err := t.thawOne(thawing, s)
	s.record.Thaw.Ended = t.cluster.Now()
	pod := s.hook.pod
	var frozen time.Duration
	if s.held != nil || s.hook.pair != nil {
		frozen = s.record.Thaw.Ended.Sub(s.record.Quiesce.Began)
	}
	if err != nil {
		s.record.Thaw.Error = kube.OneLine(err.Error())
		s.doubts = append(s.doubts, "its thaw failed: "+s.record.Thaw.Error)
		t.cluster.Log.Warn("pod not thawed as it should", "pod", pod.Name, "error", s.record.Thaw.Error)
	} else {
		t.cluster.Log.Info("pod thawed", "pod", pod.Name, "held_seconds", frozen.Seconds())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hooked = append(t.hooked, s.record)
	t.frozenSeconds = max(t.frozenSeconds, frozen.Seconds())
}

func (t *taking) thawOne(ctx context.Context, s *session) error {
	if s.hook.held != nil {
		if s.held == nil {
			return nil // it never began to hold
		}
		label, err := s.held.thaw(ctx, s.quiet)
		s.label = label
		return err
	}
	post := s.hook.pair.post
	if post == nil {
		return nil
	}
	_, err := t.cluster.Streams.Exec(ctx, kube.Command{
		Namespace: s.hook.pod.Namespace, Pod: s.hook.pod.Name, Container: post.container, Args: post.args, Timeout: post.timeout,
	})
	return err
}
