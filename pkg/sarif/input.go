// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// decoderBuffer is the size from which the decoder's own buffer grows, and about how much is
// read from the file at once.
const decoderBuffer = 128 << 10

// peekBuffer is for the first bytes. Larger reads go past it, straight into the decoder's.
const peekBuffer = 4 << 10

// open returns the UTF-8 text of a file: decompressed if it is gzip, without a byte order
// mark, transcoded if it is UTF-16. It is known by its first bytes, never by its name.
func open(r io.Reader, limits Limits) (*text, error) {
	buffered := bufio.NewReaderSize(r, peekBuffer)
	head, err := peek(buffered, 2)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(bufio.NewReaderSize(buffered, decoderBuffer))
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", truncated(err))
		}
		buffered = bufio.NewReaderSize(unzipped, peekBuffer)
	}
	t := &text{from: buffered, limits: limits, most: limits.Value}
	if head, err = peek(buffered, 4); err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, ErrEmpty
	}
	t.short = buffered.Buffered() < peekBuffer
	return t, t.sniff(buffered, head)
}

func peek(r *bufio.Reader, n int) ([]byte, error) {
	head, err := r.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, truncated(err)
	}
	return head, nil
}

// sniff looks for a byte order mark, and for UTF-16 without one: JSON begins with an ASCII
// character, so one of the first two bytes is zero.
func (t *text) sniff(r *bufio.Reader, head []byte) error {
	discard := func(n int) error {
		_, err := r.Discard(n)
		return err
	}
	has := func(mark ...byte) bool { return bytes.HasPrefix(head, mark) }
	switch {
	case has(0xff, 0xfe, 0, 0), has(0, 0, 0xfe, 0xff), has(0, 0, 0), len(head) == 4 && head[1]|head[2]|head[3] == 0:
		return errors.New("the text is UTF-32; want UTF-8")
	case has(0xef, 0xbb, 0xbf):
		return discard(3)
	case has(0xff, 0xfe):
		t.from = &utf16Reader{from: r}
		return discard(2)
	case has(0xfe, 0xff):
		t.from = &utf16Reader{from: r, high: true}
		return discard(2)
	case len(head) >= 2 && head[0] != 0 && head[1] == 0:
		t.from = &utf16Reader{from: r}
	case len(head) >= 2 && head[0] == 0 && head[1] != 0:
		t.from = &utf16Reader{from: r, high: true}
	}
	return nil
}

func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// text is the decoder's input. It enforces the limits, which jsontext has none of.
type text struct {
	from   io.Reader
	limits Limits
	// short tells that the first read brought less than it could: a pipe's beginning, or all there is.
	short bool
	given int64
	// used tells how far the decoder has got; what is given beyond it is one value in the making.
	used func() int64
	most int64 // how much of a value may be in the making
}

// wholeValue is the size up to which an object or list that is passed over is held whole.
const wholeValue = 1 << 20

// errHeld says that a value is larger than may be held.
var errHeld = fmt.Errorf("%w: one value is too long", ErrLimit)

// hold sets how large a value may grow in the decoder.
func (t *text) hold(most int64) { t.most = min(most, t.limits.Value) }

// Read gives bytes on while the limits allow.
func (t *text) Read(p []byte) (int, error) {
	if t.given > t.limits.File {
		return 0, fmt.Errorf("%w: more than %d bytes of text (limits: file)", ErrLimit, t.limits.File)
	}
	held := t.given - t.used()
	// One byte short of the limit, so that the decoder's buffer does not double once more.
	room := t.most - 1 - held
	switch {
	case room <= 0 && t.most < t.limits.Value:
		return 0, errHeld
	case room <= 0:
		return 0, fmt.Errorf("%w: one value is longer than %d bytes (limits: value)", errHeld, t.limits.Value)
	}
	if int64(len(p)) > room {
		p = p[:room]
	}
	n, err := t.from.Read(p)
	t.given += int64(n)
	return n, err
}
