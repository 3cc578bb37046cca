// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// waitMessage is the message of records that tell how a wait goes on. On a terminal they
// renew one line instead of filling the screen.
const waitMessage = "waiting"

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
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

func (l *lines) Handle(_ context.Context, record slog.Record) error {
	var b strings.Builder
	b.WriteString(record.Message)
	b.WriteString(l.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		writeAttr(&b, attr)
		return true
	})
	text := b.String()
	if record.Level >= slog.LevelWarn {
		l.mark(record.Level, text)
	}
	if record.Level >= slog.LevelWarn {
		text = strings.ToLower(record.Level.String()) + ": " + text
	}
	stamp := l.now().UTC().Format("15:04:05")
	return l.screen.write(stamp, text, record.Message == waitMessage)
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

// clear takes a renewed line away before something else is written.
func (s *screen) clear() {
	if s.open {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.open = false
	}
}

// console returns where commands of the user write: the same stream, after a renewed line has
// been taken away.
func (s *screen) console() io.Writer { return console{s} }

type console struct{ screen *screen }

func (c console) Write(p []byte) (int, error) {
	c.screen.mu.Lock()
	defer c.screen.mu.Unlock()
	c.screen.clear()
	return c.screen.out.Write(p)
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
