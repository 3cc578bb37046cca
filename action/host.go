// SPDX-License-Identifier: Apache-2.0

// Package action is the GitHub Actions face at run time: outputs, job summary, masks and
// annotations by way of the runner's files and workflow commands, and the facts that the
// event tells. It decides nothing.
package action

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/knowngood/knowngood/pkg/fault"
)

// summaryLimit is what the runner accepts as one step's summary; above it the runner drops
// the whole of it (GitHub documentation, "Adding a job summary": 1 MiB).
const summaryLimit = 1 << 20

// A Config is what the face is given.
type Config struct {
	Getenv func(string) string
	// Stdout is where workflow commands go; the runner reads them from either stream.
	Stdout io.Writer
	HTTP   *http.Client
}

// Host is the Actions face. It implements steps.Host.
type Host struct {
	config Config
	action *githubactions.Action
	known  *run // nil until a fact is asked for
	tally  tally
}

// New returns the face. It reads the event when a fact is asked for, not before.
func New(config Config) *Host {
	return &Host{config: config, action: githubactions.New(
		githubactions.WithGetenv(config.Getenv),
		githubactions.WithWriter(config.Stdout),
		githubactions.WithHTTPClient(config.HTTP),
	)}
}

// Output writes to the file that GITHUB_OUTPUT names. The library panics when the file is
// missing and its multi-line delimiter is a constant that a value could forge, so the file is
// tried first and only single lines are taken.
func (h *Host) Output(name, value string) error {
	if strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("output %s: the value has more than one line", name)
	}
	if err := h.writable("GITHUB_OUTPUT"); err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	h.action.SetOutput(name, value)
	return nil
}

// Summary appends Markdown to the job's summary; ok is false when the runner offers none.
func (h *Host) Summary(markdown string) (ok bool, err error) {
	if h.config.Getenv("GITHUB_STEP_SUMMARY") == "" {
		return false, nil
	}
	if len(markdown) > summaryLimit {
		return false, fmt.Errorf("job summary: %d bytes, and the runner drops more than %d", len(markdown), summaryLimit)
	}
	if err := h.writable("GITHUB_STEP_SUMMARY"); err != nil {
		return false, fmt.Errorf("job summary: %w", err)
	}
	h.action.AddStepSummary(markdown)
	return true, nil
}

func (h *Host) writable(variable string) error {
	path := h.config.Getenv(variable)
	if path == "" {
		return fault.Hint(fmt.Errorf("%s is not set", variable), "run inside a GitHub Actions step")
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return file.Close()
}

// Mask tells the runner to hide a secret, each of its lines for itself as the runner asks.
func (h *Host) Mask(secret string) {
	for line := range strings.SplitSeq(secret, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			h.action.AddMask(line)
		}
	}
}

// Mark shows a warning or an error as an annotation.
func (h *Host) Mark(level slog.Level, message string) {
	if level >= slog.LevelError {
		h.tally.take(failure, annotationLimit)
		h.action.Errorf("%s", message)
		return
	}
	h.tally.take(warning, annotationLimit)
	h.action.Warningf("%s", message)
}

// Fail shows the error with which the step ends as one annotation, with its hints.
func (h *Host) Fail(err error) {
	text := err.Error()
	for _, hint := range fault.Hints(err) {
		text += "\nhint: " + hint
	}
	h.action.Errorf("%s", text)
}
