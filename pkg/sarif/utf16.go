// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// errUTF16 is as strict about UTF-16 as jsontext is about UTF-8: a lone surrogate could hide
// what a key says.
var errUTF16 = errors.New("invalid UTF-16")

// utf16Reader gives UTF-16 text on as UTF-8.
type utf16Reader struct {
	from io.Reader
	high bool // big-endian

	raw  [8192]byte
	odd  int // bytes at the front of raw that are left of a unit
	lead rune
	made []byte // room for out
	out  []byte // made and not yet taken
	err  error  // what comes once out is taken
}

// Read gives UTF-8 on. An error stays.
func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) fill() {
	n, err := u.from.Read(u.raw[u.odd:])
	n += u.odd
	u.made = u.made[:0]
	for i := 0; i+1 < n; i += 2 {
		unit := rune(u.raw[i]) | rune(u.raw[i+1])<<8
		if u.high {
			unit = rune(u.raw[i])<<8 | rune(u.raw[i+1])
		}
		if !u.add(unit) {
			u.err = errUTF16
			return
		}
	}
	u.odd = n & 1
	u.raw[0] = u.raw[max(n-1, 0)]
	if err == io.EOF && (u.odd != 0 || u.lead != 0) {
		err = ErrTruncated
	}
	u.out, u.err = u.made, err
}

// add appends one code unit; false means that it cannot stand where it stands.
func (u *utf16Reader) add(unit rune) bool {
	switch {
	case u.lead != 0:
		r := utf16.DecodeRune(u.lead, unit)
		if r == utf8.RuneError {
			return false
		}
		u.lead = 0
		u.made = utf8.AppendRune(u.made, r)
	case utf16.IsSurrogate(unit):
		u.lead = unit
		return unit < 0xdc00
	default:
		u.made = utf8.AppendRune(u.made, unit)
	}
	return true
}
