// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Error says why a file is unusable and where in it. Its text is one line, with what came
// out of the file quoted and masked.
type Error struct {
	File string
	// Offset is the byte (of the decompressed UTF-8 text) at or after which it went wrong.
	Offset int64
	// Pointer is the JSON pointer of the value; "" is the whole document.
	Pointer string
	Err     error
}

// Error says file, offset, pointer and reason.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return fmt.Sprintf("%s: byte %d: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s: byte %d, at %s: %v", e.File, e.Offset, showPointer(e.Pointer), e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Reasons that a caller may branch on.
var (
	// ErrNotSARIF: the file is JSON and no SARIF log.
	ErrNotSARIF = errors.New("not a SARIF log")
	// ErrVersion: the file is SARIF of a version other than 2.1.0.
	ErrVersion = errors.New("not SARIF 2.1.0")
	// ErrLimit: the file is larger than a limit allows.
	ErrLimit = errors.New("over the limit")
	// ErrTruncated: the file ends before its last value does.
	ErrTruncated = errors.New("the file ends early")
	// ErrDuplicate: an object has the same key twice, so that readers disagree on its value.
	ErrDuplicate = errors.New("duplicate key")
	// ErrEmpty: the file holds nothing.
	ErrEmpty = errors.New("the file is empty")
)

// explain turns what jsontext says into an Error.
func explain(file string, offset int64, pointer string, err error) error {
	var located *Error
	var syntax *jsontext.SyntacticError
	out := &Error{File: file, Offset: offset, Pointer: pointer}
	switch {
	case errors.As(err, &located):
		if located.File == "" {
			located.File = file
		}
		return located
	case errors.Is(err, ErrLimit):
		out.Err = unwrapped(err)
		return out
	case errors.As(err, &syntax):
		out.Offset, out.Pointer, out.Err = syntax.ByteOffset, string(syntax.JSONPointer), syntax.Err
	default:
		out.Err = unwrapped(err)
	}
	switch {
	case errors.Is(out.Err, jsontext.ErrDuplicateName):
		out.Err = ErrDuplicate
	case errors.Is(out.Err, io.ErrUnexpectedEOF):
		out.Err = ErrTruncated
	case errors.Is(out.Err, io.EOF):
		out.Err = ErrEmpty
	case syntax != nil && strings.Contains(out.Err.Error(), "exceeded max depth"):
		out.Err = fmt.Errorf("%w: nested deeper than 10000 levels", ErrLimit)
	case syntax != nil:
		out.Err = fmt.Errorf("not JSON: %s", clean(withoutQuotes(out.Err.Error()), 120))
	}
	return out
}

// withoutQuotes drops what jsontext quotes from the file between backquotes.
func withoutQuotes(text string) string {
	text = strings.TrimPrefix(text, "jsontext: ")
	before, rest, found := strings.Cut(text, " `")
	if _, after, closed := strings.Cut(rest, "`"); found && closed {
		return before + after
	}
	return text
}

// unwrapped drops jsontext's words around an error of the reader below it.
func unwrapped(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.HasPrefix(err.Error(), "jsontext: ") {
			return err
		}
		err = inner
	}
}

func showPointer(pointer string) string {
	return clean(pointer, 200)
}

// clean makes text from a file fit for one line of a message: bounded, masked, and without
// characters that steer a terminal.
func clean(text string, most int) string {
	text = mask(cut(text, most))
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}

// cut bounds text to most bytes, at a rune's edge, and shows that something is missing.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && text[end]&0xc0 == 0x80 {
		end--
	}
	return text[:end] + "…"
}
