// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/knowngood/knowngood/pkg/release"
)

// Read reads one SARIF 2.1.0 log, which may be gzip, UTF-16 or begin with a byte order mark,
// and returns one scan for each of its runs. A log without runs returns one scan of
// completeness ScanAbsent, so that nobody takes it for a clean one.
//
// With an error there are no scans: findings count only when the whole file was read. The
// error is an *Error that names the file by the given name, the byte and the JSON pointer,
// and wraps ErrNotSARIF, ErrVersion, ErrLimit, ErrTruncated or ErrEmpty where one fits.
func Read(r io.Reader, name string, options Options) ([]release.Scan, error) {
	limits := options.Limits.withDefaults()
	input, err := open(r, limits)
	if err != nil {
		return nil, explain(name, 0, "", err)
	}
	d := &document{
		walker: newWalker(input, limits), file: name, root: slashed(options.Root),
		folder: options.Folder, source: options.Source, files: map[string]*run{},
	}
	if err := d.read(); err != nil {
		return nil, explain(name, d.dec.InputOffset(), string(d.dec.StackPointer()), err)
	}
	return d.scans, nil
}

// A document is one log while it is read.
type document struct {
	*walker
	file string
	root string // the checkout, with forward slashes

	folder, source fs.FS

	version  string
	hasRuns  bool
	findings int
	over     *Error // set at the first finding above the limit

	waiting []*run          // runs whose parts stand elsewhere
	inline  []*run          // the log's inlineExternalProperties
	files   map[string]*run // external property files that were read

	// Room that is used again for each result.
	current                   pending
	snippet, context, scratch []byte

	scans []release.Scan
}

func (d *document) read() error {
	if d.dec.PeekKind() == jsontext.KindNull {
		return d.wrong("an object")
	}
	err := d.object(strict, func(name []byte) error {
		switch string(name) {
		case "version":
			version, err := d.readVersion()
			d.version = version
			return err
		case "runs":
			d.hasRuns = true
			return d.array(strict, d.readRun)
		case "inlineExternalProperties":
			return d.array(strict, d.readInline)
		default:
			return d.skip()
		}
	})
	if err != nil {
		return err
	}
	if err := d.end(); err != nil {
		return err
	}
	return d.finish()
}

// finish says what only the whole document can say.
func (d *document) finish() error {
	switch {
	case d.version == "" && !d.hasRuns:
		return &Error{Err: fmt.Errorf("%w: it has neither version nor runs", ErrNotSARIF)}
	case d.version == "":
		return &Error{Err: fmt.Errorf("%w: it names no version", ErrVersion)}
	case !d.hasRuns:
		return &Error{Err: fmt.Errorf("%w: it has no runs", ErrNotSARIF)}
	}
	for _, r := range d.waiting {
		if err := r.gather(); err != nil {
			return err
		}
		d.scans[r.at] = r.scan()
	}
	if err := d.leftOver(); err != nil {
		return err
	}
	if len(d.scans) == 0 {
		d.scans = []release.Scan{{
			File: d.file, Completeness: release.ScanAbsent,
			Notes: []string{"the file holds no runs: no tool has scanned anything"},
		}}
	}
	if d.odd > 0 {
		last := &d.scans[len(d.scans)-1]
		last.Notes = append(last.Notes, fmt.Sprintf("passed over %d values of an unexpected kind, the first at %s", d.odd, showPointer(d.oddAt)))
	}
	return nil
}

// leftOver says which findings nobody would see: those above the limit, and those of external
// properties that no run refers to.
func (d *document) leftOver() error {
	if d.over != nil {
		d.over.Err = fmt.Errorf("%w: %d findings, where %d are allowed (limits: findings)", ErrLimit, d.findings, d.limits.Findings)
		return d.over
	}
	for i, p := range d.inline {
		if p.results.n > 0 && !p.claimed {
			return &Error{
				Pointer: fmt.Sprintf("/inlineExternalProperties/%d/results", i),
				Err:     fmt.Errorf("%w: %d findings to which no run refers", ErrNotSARIF, p.results.n),
			}
		}
	}
	return nil
}

// readVersion refuses what is not 2.1.0 by name. Release candidates of the final schema
// ("2.1.0-rtm.5") have its shape.
func (d *document) readVersion() (string, error) {
	if d.dec.PeekKind() != jsontext.KindString {
		return "", d.wrong("a string")
	}
	version, err := d.text()
	if err != nil || version == "2.1.0" || strings.HasPrefix(version, "2.1.0-rtm.") {
		return version, err
	}
	return "", &Error{
		Offset: d.dec.InputOffset(), Pointer: string(d.dec.StackPointer()),
		Err: fmt.Errorf("%w: it is SARIF %q; have the tool write 2.1.0", ErrVersion, clean(version, 40)),
	}
}

// keep reads a text into p.
func (w *walker) keep(p *string) error {
	text, err := w.text()
	*p = text
	return err
}

// keepWord reads a text that tends to repeat into p.
func (w *walker) keepWord(p *string) error {
	word, err := w.word()
	*p = word
	return err
}

// keepLevel is keepWord for a level. One of another kind than a string is not absent: it is
// kept as a word that is no level.
func (w *walker) keepLevel(p *string) error {
	kind := w.dec.PeekKind()
	err := w.keepWord(p)
	if kind != jsontext.KindString && kind != jsontext.KindNull {
		*p = nameOf(kind)
	}
	return err
}

// keepNumber reads a whole number into p.
func (w *walker) keepNumber(p *int) error {
	n, err := w.number()
	*p = n
	return err
}
