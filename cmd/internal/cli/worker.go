// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
	"github.com/knowngood/knowngood/pkg/work"
)

// worker is the face of a Job that knowngood itself began: its caller reads the log as lines of
// JSON and, of the end, one message. Outputs are in the result.
type worker struct {
	path   string
	result any
}

func (*worker) Output(string, string) error                                    { return nil }
func (*worker) Summary(string) (bool, error)                                   { return false, nil }
func (*worker) Mask(string)                                                    {}
func (*worker) Mark(slog.Level, string)                                        {}
func (*worker) Fail(error)                                                     {}
func (*worker) Fact(context.Context, step.Input) (_ string, _ bool, err error) { return "", false, nil }

// end writes how the command ended, and returns the exit status. A result that cannot be handed
// back is none.
func (w *worker) end(err error) (fault.Status, error) {
	message, wrong := work.Encode(err, w.result)
	if wrong != nil {
		err = errors.Join(err, wrong)
		if message, wrong = work.Encode(err, nil); wrong != nil {
			return fault.Failed, wrong
		}
	}
	if wrong := os.WriteFile(w.path, message, 0o600); wrong != nil {
		return fault.Failed, fmt.Errorf("tell the caller of the Job: %w", wrong)
	}
	return fault.StatusOf(err), nil
}

// workerLog writes records as lines of JSON, lengths of time as people write them.
func workerLog(out io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Value.Kind() == slog.KindDuration {
			return slog.String(attr.Key, attr.Value.Duration().Round(10*time.Millisecond).String())
		}
		return attr
	}}))
}
