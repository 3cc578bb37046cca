// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"unicode/utf16"
)

// maxSource is how much of a source file is hashed. Files that people write are smaller.
const maxSource = 8 << 20

// hashLines takes the line hashes from the source for results that nothing in the file
// identifies, so that they survive moved lines. Of a file that is not there, or too long, or
// shorter than the result says, no hash is taken.
func (r *run) hashLines(shared map[string]bool) map[int]string {
	type line struct {
		file   string
		number int
	}
	waiting := map[string]map[int]string{} // by file and line
	weak := map[int]line{}
	for i := range r.results.n {
		p := r.results.at(i)
		named := p.restored != "" || (p.own != "" && !shared[p.own]) || p.lineHash != "" || p.part != "" || p.content != hash{}
		file := r.fileOf(&p)
		if named || file == "" || p.region.line < 1 {
			continue
		}
		if waiting[file] == nil {
			waiting[file] = map[int]string{}
		}
		waiting[file][p.region.line] = ""
		weak[i] = line{file, p.region.line}
	}
	for file, lines := range waiting {
		if r.hashFile(file, lines) != nil {
			delete(waiting, file)
		}
	}
	hashes := map[int]string{}
	for i, at := range weak {
		if hash := waiting[at.file][at.number]; hash != "" {
			hashes[i] = hash
		}
	}
	return hashes
}

// hashFile sets the hashes of the lines asked for.
func (r *run) hashFile(file string, lines map[int]string) error {
	if !fs.ValidPath(file) {
		return fs.ErrInvalid
	}
	info, err := fs.Stat(r.source, file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSource {
		return fs.ErrInvalid
	}
	opened, err := r.source.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	return lineHashes(io.LimitReader(opened, maxSource), func(line int, hash string) {
		if _, asked := lines[line]; asked {
			lines[line] = hash
		}
	})
}

// A lineHasher makes the hashes by which GitHub knows an alert again, as the code scanning
// action makes them: of each line's first 100 UTF-16 units that are neither space nor tab,
// running on into the lines below, as a polynomial in 37 over 64 bits. Every kind of line
// ending counts as one line feed; the end of the file counts as 65535 and is followed by
// zeros. Lines with the same hash are told apart by a count.
type lineHasher struct {
	window [hashWindow]uint16
	starts [hashWindow]int // the line whose first unit stands here, 0 for none
	at     int
	sum    uint64

	line     int
	lineOver bool // the next unit begins a line
	afterCR  bool

	seen map[uint64]int
	emit func(line int, hash string)
}

const (
	hashWindow = 100
	hashBase   = 37
	endOfFile  = 65535
)

// lineHashes calls emit for each line of a text, in order.
func lineHashes(text io.Reader, emit func(line int, hash string)) error {
	h := &lineHasher{lineOver: true, seen: map[uint64]int{}, emit: emit}
	leaving := uint64(1) // what a unit is worth when it leaves the window
	for range hashWindow {
		leaving *= hashBase
	}
	in := bufio.NewReader(text)
	for {
		r, _, err := in.ReadRune()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if high, low := utf16.EncodeRune(r); r > 0xffff {
			h.put(uint16(high), leaving) //nolint:gosec // a surrogate has 16 bits
			r = low
		}
		h.put(uint16(r), leaving) //nolint:gosec // below 0x10000
	}
	h.put(endOfFile, leaving)
	for range hashWindow {
		h.shift(0, leaving)
	}
	return nil
}

func (h *lineHasher) put(unit uint16, leaving uint64) {
	feed := h.afterCR && unit == '\n'
	h.afterCR = unit == '\r'
	switch {
	case feed, unit == ' ', unit == '\t':
		return
	case unit == '\r':
		unit = '\n'
	}
	begins := h.lineOver
	h.lineOver = unit == '\n'
	at := h.at
	h.shift(unit, leaving)
	if begins {
		h.line++
		h.starts[at] = h.line
	}
}

// shift takes a unit into the window. The one that leaves may be the first of a line, of
// which the window then holds all that counts.
func (h *lineHasher) shift(unit uint16, leaving uint64) {
	if line := h.starts[h.at]; line != 0 {
		h.seen[h.sum]++
		h.emit(line, strconv.FormatUint(h.sum, 16)+":"+strconv.Itoa(h.seen[h.sum]))
		h.starts[h.at] = 0
	}
	h.sum = h.sum*hashBase + uint64(unit) - uint64(h.window[h.at])*leaving
	h.window[h.at] = unit
	h.at = (h.at + 1) % hashWindow
}
