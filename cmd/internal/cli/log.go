// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// waits tells the messages of records that tell how something goes on. On a terminal they renew
// one line instead of filling the screen.
func waits(message string) bool { return message == "waiting" || works(message) }

// works tells those that are told each second: in a log one in ten is enough.
func works(message string) bool {
	return message == "saving" || message == "restoring" || message == "comparing" || message == "looking for data"
}

// pulse is how often a log tells how work goes on.
const pulse = 10 * time.Second

// lines is a slog.Handler that writes a record as one line: the time, the message, then
// key=value. Values that hold anything but plain text are quoted, so that no record can forge
// a second line or a workflow command.
type lines struct {
	screen *screen
	level  slog.Level
	now    func() time.Time
	mark   func(slog.Level, string)
	attrs  string
}

// screen is where all handlers of one program write; open says that a renewed line stands
// unfinished.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	renew bool
	open  bool
	// worked is when the log last told how work goes on.
	worked time.Time
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

func (l *lines) Handle(_ context.Context, record slog.Record) error {
	if works(record.Message) && !l.screen.due(l.now()) {
		return nil
	}
	var b strings.Builder
	b.WriteString(record.Message)
	b.WriteString(l.attrs)
	for _, attr := range l.ordered(record) {
		if attr.Key == "percent" && l.screen.renew {
			b.WriteString(" " + bar(attr.Value.Int64()))
		} else {
			writeAttr(&b, attr)
		}
	}
	text := b.String()
	if record.Level >= slog.LevelWarn {
		l.mark(record.Level, text)
	}
	if record.Level >= slog.LevelWarn {
		text = strings.ToLower(record.Level.String()) + ": " + text
	}
	stamp := l.now().UTC().Format("15:04:05")
	return l.screen.write(stamp, text, waits(record.Message))
}

// ordered returns what a record tells. A line that is renewed is cut at its end, so that the state
// of what is waited for comes before its name, which may be long.
func (l *lines) ordered(record slog.Record) []slog.Attr {
	var all []slog.Attr
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "state" && l.screen.renew && waits(record.Message) {
			all = slices.Insert(all, 0, attr)
		} else {
			all = append(all, attr)
		}
		return true
	})
	return all
}

func (s *screen) write(stamp, text string, waiting bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch {
	case s.renew && waiting:
		_, err = fmt.Fprintf(s.out, "\r\x1b[K%s  %s", stamp, cut(text, 70))
		s.open = true
	default:
		s.clear()
		_, err = fmt.Fprintf(s.out, "%s  %s\n", stamp, text)
	}
	return err
}

// due tells whether it is time to tell how work goes on: always on a terminal.
func (s *screen) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renew {
		return true
	}
	if s.worked.IsZero() {
		s.worked = now // what ends soon needs no telling
	}
	if now.Sub(s.worked) < pulse {
		return false
	}
	s.worked = now
	return true
}

// bar draws how much is done.
func bar(percent int64) string {
	const width = 10
	done := int(min(max(percent, 0), 100)) * width / 100
	return "[" + strings.Repeat("#", done) + strings.Repeat("-", width-done) + "]"
}

// clear takes a renewed line away before something else is written.
func (s *screen) clear() {
	if s.open {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.open = false
	}
}

// console returns where commands of the user write: the same stream, after a renewed line has
// been taken away. A log that nobody can read any more does not stop a deploy half-way.
func (s *screen) console() io.Writer { return console{s} }

type console struct{ screen *screen }

func (c console) Write(p []byte) (int, error) {
	c.screen.mu.Lock()
	defer c.screen.mu.Unlock()
	c.screen.clear()
	_, _ = c.screen.out.Write(p)
	return len(p), nil
}

func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

func writeAttr(b *strings.Builder, attr slog.Attr) {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, inner := range value.Group() {
			writeAttr(b, inner)
		}
		return
	}
	text := value.String()
	if value.Kind() == slog.KindDuration {
		text = value.Duration().Round(10 * time.Millisecond).String()
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool {
		return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r)
	}) {
		text = strconv.QuoteToGraphic(text)
	}
	fmt.Fprintf(b, " %s=%s", attr.Key, text)
}

func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(l.attrs)
	for _, attr := range attrs {
		writeAttr(&b, attr)
	}
	clone := *l
	clone.attrs = b.String()
	return &clone
}

// WithGroup keeps attributes flat: a line is read by people.
func (l *lines) WithGroup(string) slog.Handler { return l }

// tell prints text for a person as it is: package report made and escaped it.
func (s *screen) tell(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.out, strings.TrimRight(text, "\n"))
}

func (s *screen) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}
