// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// A walker goes through one document, value by value. Each of its methods takes exactly one
// value. Values that decide must have the right kind; those that do not are passed over when
// they have another one, and counted in odd.
type walker struct {
	in     *text
	dec    *jsontext.Decoder
	limits Limits
	seen   map[string]string // strings that tend to repeat, each held once
	recent [recentWords]string
	kept   int64 // bytes of text
	odd    int
	oddAt  string // pointer of the first
}

func newWalker(t *text, limits Limits) *walker {
	w := &walker{in: t, limits: limits, seen: map[string]string{}}
	size := decoderBuffer
	if t.short {
		size = 2 * peekBuffer
	}
	w.dec = roomyDecoder(size)
	w.dec.Reset(t)
	t.used = w.dec.InputOffset
	return w
}

// roomyDecoder returns a decoder whose buffer is large from the start. Left alone it stays at
// 4 KiB as long as no value is larger, and moves what is left of it for every 4 KiB read; and
// one that grows within a value loses names of the pointer that an error tells.
func roomyDecoder(size int) *jsontext.Decoder {
	white := bytes.Repeat([]byte{' '}, size*3/4)
	decoder := jsontext.NewDecoder(bytes.NewReader(white))
	// There is no value: the buffer has grown while it was looked for.
	_, _ = decoder.ReadToken()
	return decoder
}

// strictness says what a value of another kind than the wanted one is.
type strictness bool

const (
	lenient strictness = false // another kind is passed over and counted
	strict  strictness = true  // another kind is an error
)

// enter reads the opening bracket. It returns false for null, and for another kind where
// that is tolerated; the value is then read.
func (w *walker) enter(open jsontext.Kind, how strictness) (bool, error) {
	switch kind := w.dec.PeekKind(); {
	case kind == open:
		_, err := w.dec.ReadToken()
		return true, err
	case kind == jsontext.KindNull:
		return false, w.skip()
	case kind == jsontext.KindInvalid || how == lenient:
		return false, w.pass()
	default:
		return false, w.wrong(nameOf(open))
	}
}

// object calls member for each member of an object. The name is only valid until member
// reads the value, which it must do.
func (w *walker) object(how strictness, member func(name []byte) error) error {
	ok, err := w.enter(jsontext.KindBeginObject, how)
	if !ok || err != nil {
		return err
	}
	for n := 0; w.dec.PeekKind() != jsontext.KindEndObject; n++ {
		if n >= w.limits.Members/objectShare {
			return w.tooMany("members of an object (limits: members)", int64(w.limits.Members/objectShare))
		}
		name, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := member(unquoted(name)); err != nil {
			return err
		}
	}
	_, err = w.dec.ReadToken()
	return err
}

// array calls element for each element of an array, which must read it.
func (w *walker) array(how strictness, element func(i int) error) error {
	ok, err := w.enter(jsontext.KindBeginArray, how)
	if !ok || err != nil {
		return err
	}
	for n := 0; w.dec.PeekKind() != jsontext.KindEndArray; n++ {
		if n >= w.limits.Members {
			return w.tooMany("elements of a list (limits: members)", int64(w.limits.Members))
		}
		if err := element(n); err != nil {
			return err
		}
	}
	_, err = w.dec.ReadToken()
	return err
}

// pass passes over one value of the wrong kind and counts it.
func (w *walker) pass() error {
	err := w.skip()
	w.strange(w.dec.StackPointer)
	return err
}

// strange counts a value that was passed over.
func (w *walker) strange(where func() jsontext.Pointer) {
	if w.odd == 0 {
		w.oddAt = string(where())
	}
	w.odd++
}

// bytes returns the raw form of the next value if it has the kind, else nil.
func (w *walker) bytes(want jsontext.Kind) (jsontext.Value, error) {
	value, err := w.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	switch kind := value.Kind(); kind {
	case want:
		return value, nil
	case jsontext.KindNull:
		return nil, nil
	default:
		w.strange(w.dec.StackPointer)
		return nil, nil
	}
}

// text reads a string; anything else is "".
func (w *walker) text() (string, error) {
	value, err := w.bytes(jsontext.KindString)
	if value == nil || err != nil {
		return "", err
	}
	return w.keeping(cut(string(unquoted(value)), maxText))
}

// keeping counts a text that is kept.
func (w *walker) keeping(text string) (string, error) {
	return text, w.charge(len(text))
}

// The overheads are about what an element of a list takes that is kept, besides its texts: most
// of them, one that holds a descriptor, and a run.
const (
	overhead     = 128
	ruleOverhead = 1 << 10
	runOverhead  = 2 << 10
)

// charge counts bytes that are kept.
func (w *walker) charge(bytes int) error {
	if w.kept += int64(bytes); w.kept > w.limits.Kept {
		return w.tooMany("bytes of text to keep (limits: kept)", w.limits.Kept)
	}
	return nil
}

// word reads a string that tends to repeat, such as a rule's id or a path.
func (w *walker) word() (string, error) {
	value, err := w.bytes(jsontext.KindString)
	if value == nil || err != nil {
		return "", err
	}
	return w.intern(unquoted(value))
}

// number reads a whole number; anything else is -1, and so is one below -1.
func (w *walker) number() (int, error) {
	value, err := w.bytes(jsontext.KindNumber)
	if value == nil || err != nil {
		return -1, err
	}
	if n, err := strconv.ParseInt(string(value), 10, 32); err == nil {
		return max(int(n), -1), nil
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		w.strange(w.dec.StackPointer)
		return -1, nil //nolint:nilerr // it is noted as strange
	}
	return max(int(f), -1), nil
}

// truth reads true or false; known is false for anything else.
func (w *walker) truth() (value, known bool, err error) {
	switch kind := w.dec.PeekKind(); kind {
	case jsontext.KindTrue, jsontext.KindFalse:
		return kind == jsontext.KindTrue, true, w.skip()
	case jsontext.KindNull, jsontext.KindInvalid:
		return false, false, w.skip()
	default:
		return false, false, w.pass()
	}
}

// wrong is the error of a value that decides and has the wrong kind.
func (w *walker) wrong(want string) error {
	kind, offset, pointer := w.dec.PeekKind(), w.dec.InputOffset(), string(w.nextPointer())
	// A value that is no JSON either is the better reason.
	if err := w.skip(); err != nil {
		return err
	}
	return &Error{Offset: offset, Pointer: pointer, Err: fmt.Errorf("%w: want %s, found %s", ErrNotSARIF, want, nameOf(kind))}
}

// nextPointer is the pointer of the value that comes next.
func (w *walker) nextPointer() jsontext.Pointer {
	pointer := w.dec.StackPointer()
	if kind, n := w.dec.StackIndex(w.dec.StackDepth()); kind == jsontext.KindBeginArray {
		if n == 0 {
			return pointer.AppendToken("0")
		}
		return pointer.Parent().AppendToken(strconv.FormatInt(n, 10))
	}
	return pointer
}

func (w *walker) tooMany(what string, most int64) error {
	return &Error{
		Offset: w.dec.InputOffset(), Pointer: string(w.dec.StackPointer()),
		Err: fmt.Errorf("%w: more than %d %s", ErrLimit, most, what),
	}
}

// end makes sure that nothing but white space is left.
func (w *walker) end() error {
	if _, err := w.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return &Error{Offset: w.dec.InputOffset(), Err: errors.New("not JSON: more text after the end of the document")}
	}
	return nil
}

// unquoted returns the content of a JSON string.
func unquoted(value []byte) []byte {
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	// The decoder has checked the string.
	content, _ := jsontext.AppendUnquote(make([]byte, 0, len(value)), value)
	return content
}

func nameOf(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "true or false"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "a list"
	default:
		return "something that is not JSON"
	}
}
