// SPDX-License-Identifier: Apache-2.0

package step

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Hidden is a secret. Printed, logged or marshalled it is "***"; Reveal returns it.
type Hidden string

// String returns "***", or "" for no secret.
func (h Hidden) String() string {
	if h == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v from telling.
func (h Hidden) GoString() string { return h.String() }

// LogValue keeps slog from telling.
func (h Hidden) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText keeps encoders from telling.
func (h Hidden) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Reveal returns the secret itself, for the one call that needs it.
func (h Hidden) Reveal() string { return string(h) }

// Assign sets one input from text. It may be called again for lists, whose values add up.
// An unknown name or a value of the wrong form is an error of usage that names the input.
func (s *Set) Assign(name, value string) error {
	in := s.input(name)
	if in == nil {
		return fault.Usagef("%s has no input %q", s.Name, name)
	}
	if len(in.Choices) > 0 && !slices.Contains(in.Choices, value) {
		return fault.Usagef("%s %q: want one of %s", name, value, strings.Join(in.Choices, ", "))
	}
	for i := range s.bound {
		if s.bound[i].name != name {
			continue
		}
		if err := s.bound[i].set(value); err != nil {
			return fault.Usagef("%s %q: %w", name, value, err)
		}
		s.bound[i].given = true
		s.bound[i].text = value
	}
	return nil
}

// Value returns the text last assigned to an input, or its default.
func (s *Set) Value(name string) string {
	for i, b := range s.bound {
		if b.name == name {
			if b.given {
				return b.text
			}
			return s.Inputs[i].Default
		}
	}
	return ""
}

// A Source gives values by the input's declaration. ok is false when it has none; an empty
// value counts as none, because a pipeline cannot leave an input out.
type Source func(in Input) (value string, ok bool, err error)

// Complete asks the sources, in order, for every input that was not assigned yet, and keeps
// the first value; the default stands where none has one. It returns an error of usage for
// each required input that nobody gave.
func (s *Set) Complete(sources ...Source) error {
	for i := range s.Inputs {
		if s.bound[i].given {
			continue
		}
		if err := s.complete(s.Inputs[i], sources); err != nil {
			return err
		}
		if s.Inputs[i].Required && !s.bound[i].given {
			in := s.Inputs[i]
			return fault.Hint(fault.Usagef("%s needs %s: %s", s.Name, in.Name, in.Doc), "%s, or set %s", s.asked(in), in.Env())
		}
	}
	return nil
}

// asked says how an input is given on the command line.
func (s *Set) asked(in Input) string {
	if in.Word {
		return fmt.Sprintf("write it behind the command: %s %s", s.Name, strings.ToUpper(in.Name))
	}
	return "give --" + in.Name
}

func (s *Set) complete(in Input, sources []Source) error {
	for _, source := range sources {
		value, ok, err := source(in)
		if err != nil {
			return err
		}
		if ok && value != "" {
			return s.Assign(in.Name, value)
		}
	}
	return nil
}

// Given tells whether a value other than the default was assigned.
func (s *Set) Given(name string) bool {
	for _, b := range s.bound {
		if b.name == name {
			return b.given
		}
	}
	return false
}

func parseBool(p *bool, text string) error {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		*p = true
	case "false", "0", "no":
		*p = false
	default:
		return fmt.Errorf("want true or false")
	}
	return nil
}

func parseInt(p *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("want a whole number")
	}
	*p = n
	return nil
}

func parseDuration(p *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("want a length of time above zero, e.g. 90s, 10m or 1h30m")
	}
	*p = d
	return nil
}

// shortDuration prints 10m0s as 10m.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func splitLines(text string) []string {
	var values []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			values = append(values, line)
		}
	}
	return values
}
