// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// manifestFormat is the version of the manifests that this program writes.
const manifestFormat = 1

// longestLine is how long one line of a manifest may be.
const longestLine = 64 << 20

// ErrDamaged is the error of a backup whose objects or manifest are not what they were.
var ErrDamaged = errors.New("the backup is damaged")

// A header is the first line of a manifest. Format is the last field that a newer version may
// change the meaning of.
type header struct {
	Format int       `json:"format"`
	Began  time.Time `json:"began"`
	Label
}

// A Label says what a backup is of.
type Label struct {
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	Commit      release.Commit `json:"commit,omitempty"`
	Run         string         `json:"run,omitempty"`
	// Volume is the folder, or the claim, that was saved.
	Volume string `json:"volume"`
	// Device is true where it was a raw block device.
	Device bool `json:"device,omitempty"`
}

// A trailer is the last line of a manifest; a manifest without it was cut off.
type trailer struct {
	End     bool  `json:"end"`
	Entries int64 `json:"entries"`
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
}

// lines reads a manifest: the header by its own, then entries in the order of a walk, each
// checked and in a folder that came before it.
type lines struct {
	in     *bufio.Reader
	Header header
	// Trailer is filled when next has returned io.EOF.
	Trailer trailer

	// raw is the line of the entry that next returned, until it is called again.
	raw     string
	last    Name
	begun   bool
	folders []Name
	counted trailer
}

func readManifest(in io.Reader) (*lines, error) {
	l := &lines{in: bufio.NewReaderSize(in, 1<<20)}
	line, err := l.line()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w: %w", ErrDamaged, err)
	}
	if err := json.Unmarshal(line, &l.Header); err != nil {
		return nil, fmt.Errorf("read the manifest: %w: %w", ErrDamaged, err)
	}
	if l.Header.Format < 1 || l.Header.Format > manifestFormat {
		return nil, fmt.Errorf("read the manifest: format %d, this program reads up to %d", l.Header.Format, manifestFormat)
	}
	return l, nil
}

func (l *lines) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case err == nil && whole == nil:
			return part, nil
		case err == nil:
			return append(whole, part...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			if whole = append(whole, part...); len(whole) > longestLine {
				return nil, fmt.Errorf("a line is longer than %d bytes", longestLine)
			}
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF // each line has its end, the last one too
		default:
			return nil, err
		}
	}
}

// next returns the next entry, and io.EOF after the last one of a whole manifest.
func (l *lines) next() (*Entry, error) {
	line, err := l.line()
	if err != nil {
		return nil, fmt.Errorf("read the manifest after %q: %w: %w", l.last, ErrDamaged, err)
	}
	if bytes.HasPrefix(line, []byte(`{"end":`)) {
		return nil, l.end(line)
	}
	l.raw = string(line)
	e, err := parseLine(l.raw)
	if err != nil {
		return nil, fmt.Errorf("read the manifest after %q: %w: %w", l.last, ErrDamaged, err)
	}
	if err := errors.Join(e.check(), l.place(e)); err != nil {
		return nil, fmt.Errorf("read the manifest: %w: %w", ErrDamaged, err)
	}
	l.counted.add(e)
	if l.Header.Device {
		e.ours()
	}
	return e, nil
}

func (t *trailer) add(e *Entry) {
	t.Entries++
	if e.Kind == File {
		t.Files++
		t.Bytes += e.Size
	}
}

func (l *lines) end(line []byte) error {
	if err := json.Unmarshal(line, &l.Trailer); err != nil {
		return fmt.Errorf("read the manifest's end: %w: %w", ErrDamaged, err)
	}
	l.counted.End = true
	if l.Trailer != l.counted {
		return fmt.Errorf("read the manifest: %w: it has %+v, and says %+v", ErrDamaged, l.counted, l.Trailer)
	}
	if rest, err := l.in.Read(make([]byte, 1)); rest > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the manifest: %w: something follows its end", ErrDamaged)
	}
	return io.EOF
}

// place refuses an entry out of order, or one whose folder is none. So nothing can be put
// where a link leads.
func (l *lines) place(e *Entry) error {
	if !l.begun {
		l.begun = true
		if e.Path != top {
			return fmt.Errorf("it begins with %q, not with the folder itself", e.Path)
		}
		l.last, l.folders = top, []Name{top}
		return nil
	}
	if order(l.last, e.Path) >= 0 {
		return fmt.Errorf("%q comes after %q", e.Path, l.last)
	}
	parent := e.parent()
	for len(l.folders) > 0 && l.folders[len(l.folders)-1] != parent {
		l.folders = l.folders[:len(l.folders)-1]
	}
	if len(l.folders) == 0 {
		return fmt.Errorf("%q lies in no folder of it", e.Path)
	}
	if e.Kind == Folder {
		l.folders = append(l.folders, e.Path)
	}
	l.last = e.Path
	return nil
}
