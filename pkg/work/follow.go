// SPDX-License-Identifier: Apache-2.0

package work

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
)

// follow begins to relay the log of each program of ours that runs or has run, once each.
func (r *running) follow(ctx context.Context, pod *corev1.Pod) {
	for _, s := range statuses(pod) {
		if s.State.Running == nil && s.State.Terminated == nil || !r.ours(s.Name) {
			continue
		}
		key := string(pod.UID) + "/" + s.Name
		r.mu.Lock()
		known := r.followed[key]
		r.followed[key] = true
		r.mu.Unlock()
		if !known {
			r.following.Go(func() { r.relay(ctx, pod.Name, s.Name) })
		}
	}
}

func (r *running) ours(container string) bool {
	for _, p := range r.job.Programs {
		if p.Name == container {
			return p.Ours
		}
	}
	return false
}

// Pauses between attempts to read a log that was cut, and how often it is tried.
const (
	relayPause = time.Second
	relayTries = 5
)

// relay tells the lines of a program until it ends. A log that is cut, e.g. by a proxy that ends
// long requests, is taken up again. Progress is a service: without it the work goes on.
func (r *running) relay(ctx context.Context, pod, container string) {
	var since *metav1.Time
	for tries := 0; tries < relayTries && ctx.Err() == nil; tries++ {
		stream, err := r.cluster.Core.CoreV1().Pods(r.cluster.Namespace).
			GetLogs(pod, &corev1.PodLogOptions{Container: container, Follow: true, SinceTime: since}).Stream(ctx)
		if err != nil {
			explained := r.cluster.Explain(ctx, r.call("get", "pods/log", pod), err)
			if errors.Is(explained, kube.ErrForbidden) {
				r.cluster.Log.Warn("the Job's progress cannot be told", "why", explained)
				return
			}
		} else {
			lines := r.read(stream)
			_ = stream.Close() // only read from
			if lines > 0 {
				tries = 0
			}
			now := metav1.NewTime(r.cluster.Now())
			since = &now
		}
		if r.over(ctx, pod, container) {
			return
		}
		select {
		case <-time.After(relayPause):
		case <-ctx.Done():
		}
	}
}

// over tells whether a container has ended, or cannot be asked any more.
func (r *running) over(ctx context.Context, name, container string) bool {
	pod, err := r.cluster.Core.CoreV1().Pods(r.cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return true
	}
	for _, s := range statuses(pod) {
		if s.Name == container {
			return s.State.Running == nil
		}
	}
	return true
}

// lineLimit is the longest line that is looked at; the rest of a longer one is dropped.
const lineLimit = 16 << 10

// read relays lines until the stream ends, and returns how many there were.
func (r *running) read(stream io.Reader) int {
	reader, n := bufio.NewReaderSize(stream, lineLimit), 0
	for {
		line, more, err := reader.ReadLine()
		for err == nil && more {
			_, more, err = reader.ReadLine()
		}
		if err != nil {
			return n
		}
		n++
		r.say(line)
	}
}

// said is a line of a program of ours.
type said struct {
	Level    string  `json:"level"`
	Message  string  `json:"msg"`
	Percent  *int64  `json:"percent"`
	Entries  *int64  `json:"entries"`
	Read     measure `json:"read"`
	Rate     measure `json:"rate"`
	Uploaded measure `json:"uploaded"`
	Left     measure `json:"left"`
}

// A measure is a number with its unit and nothing else.
type measure string

var measureForm = regexp.MustCompile(`^[0-9][0-9A-Za-z./]{0,19}$`)

// keptLines is how many of the last lines an error may tell.
const keptLines = 3

// say tells a line. Progress is told as if the work were done here; of the rest only warnings.
func (r *running) say(line []byte) {
	var s said
	if err := json.Unmarshal(bytes.TrimSpace(line), &s); err != nil {
		s = said{Message: string(line)}
	}
	switch s.Message {
	case "saving", "restoring", "comparing", "looking for data":
		r.cluster.Log.Info(s.Message, s.attributes(r.job.About)...) //nolint:sloglint // one of a few constant words
		return
	}
	text := kube.OneLine(s.Message)
	r.mu.Lock()
	r.lastLines = append(r.lastLines, text)
	r.lastLines = r.lastLines[max(0, len(r.lastLines)-keptLines):]
	r.mu.Unlock()
	if s.Level == slog.LevelWarn.String() || s.Level == slog.LevelError.String() {
		r.cluster.Log.Warn("the Job says", "about", r.job.About, "text", text)
	}
}

func (s said) attributes(about string) []any {
	attributes := []any{"volume", about}
	if s.Percent != nil {
		attributes = append(attributes, "percent", min(max(*s.Percent, 0), 100))
	}
	attributes = append(attributes, measured("left", s.Left)...)
	attributes = append(attributes, measured("read", s.Read)...)
	attributes = append(attributes, measured("rate", s.Rate)...)
	if s.Entries != nil {
		attributes = append(attributes, "entries", *s.Entries)
	}
	return append(attributes, measured("uploaded", s.Uploaded)...)
}

func measured(name string, value measure) []any {
	if !measureForm.MatchString(string(value)) {
		return nil
	}
	return []any{name, string(value)}
}
