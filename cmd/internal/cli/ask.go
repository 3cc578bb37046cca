// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/report"
)

// longestAnswer is in bytes; more than that is no answer.
const longestAnswer = 4096

// errNoAnswer: the input ended, as by Ctrl-D.
var errNoAnswer = errors.New("the input ended before the question was answered")

// asker returns how a person is asked, nil where there is nobody to ask: a question is only put
// where it is seen and can be answered.
func (p Program) asker(screen *screen, face face) func(ctx context.Context, question, otherwise string) (string, error) {
	if _, person := face.(*terminal); !person || !isTerminal(p.Stdin) || !isTerminal(p.Stderr) {
		return nil
	}
	lines := bufio.NewReaderSize(p.Stdin, longestAnswer)
	return func(ctx context.Context, question, otherwise string) (string, error) {
		screen.ask(question, otherwise)
		type answer struct {
			text string
			err  error
		}
		answered := make(chan answer, 1)
		go func() { // a terminal cannot be told to stop waiting
			line, err := lines.ReadSlice('\n')
			answered <- answer{string(line), err}
		}()
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case got := <-answered:
			text := strings.TrimSpace(got.text)
			switch {
			case errors.Is(got.err, io.EOF):
				return "", fault.Hint(fault.Usagef("%s: %w", question, errNoAnswer), "answer, or give --yes for what is proposed")
			case got.err != nil:
				return "", fault.Usagef("%s: %w", question, got.err)
			case text == "":
				return otherwise, nil
			}
			return text, nil
		}
	}
}

// ask puts a question, with the answer of an empty line after it.
func (s *screen) ask(question, otherwise string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.out, "%s [%s] ", report.Clean(question), report.Clean(otherwise))
}
