// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An external is a reference to a part of a run that stands elsewhere (§3.15): in a file
// beside the log, or in the log's inlineExternalProperties.
type external struct {
	part  string // the run's member: "results"
	at    place
	guid  string
	items int // how many the tool says there are, -1 when it does not
}

// maxExternals bounds the references of one run.
const maxExternals = 1000

// readExternals reads a run's externalPropertyFileReferences. What decides nothing may lie
// anywhere, and is not looked for.
func (r *run) readExternals(name []byte) error {
	part := string(name)
	switch part {
	case "driver", "extensions", "results", "invocations", "artifacts", "taxonomies":
		if r.dec.PeekKind() == jsontext.KindBeginArray {
			return r.array(strict, func(int) error { return r.readExternal(part) })
		}
		return r.readExternal(part)
	default:
		return r.skip()
	}
}

func (r *run) readExternal(part string) error {
	if len(r.externals) >= maxExternals {
		return r.tooMany("external property files", maxExternals)
	}
	e := external{part: part, at: place{index: -1}, items: -1}
	err := r.object(strict, func(name []byte) error {
		switch string(name) {
		case "location":
			return r.readPlace(&e.at)
		case "guid":
			return r.keep(&e.guid)
		case "itemCount":
			return r.keepNumber(&e.items)
		default:
			return r.skip()
		}
	})
	r.externals = append(r.externals, e)
	return err
}

// readInline reads one of the log's inlineExternalProperties, which runs name by its guid.
func (d *document) readInline(int) error {
	if d.dec.PeekKind() != jsontext.KindBeginObject {
		return d.wrong("an object")
	}
	p := newRun(d)
	d.inline = append(d.inline, p)
	if err := d.charge(runOverhead); err != nil {
		return err
	}
	return d.object(strict, p.partMember)
}

// partMember reads a member of external properties (§4.3), which are parts of a run.
func (r *run) partMember(name []byte) error {
	switch string(name) {
	case "version":
		_, err := r.readVersion()
		return err
	case "guid":
		return r.keep(&r.guid)
	case "driver", "extensions":
		return r.toolMember(name)
	case "results", "invocations", "artifacts", "taxonomies":
		return r.member(name)
	case "runs":
		return &Error{
			Offset: r.dec.InputOffset(), Pointer: "/runs",
			Err: fmt.Errorf("%w: it is a log, where external properties belong", ErrNotSARIF),
		}
	default:
		return r.skip()
	}
}

// gather adds to a run what stands elsewhere. What cannot be had is noted, and makes the scan
// incomplete where it could hold or weigh a finding; a file that is there and cannot be read
// to its end is an error, as the log itself would be.
func (r *run) gather() error {
	taken := map[string]bool{}
	for _, e := range r.externals {
		part, name, why, err := r.load(e)
		switch {
		case err != nil:
			return err
		case part == nil:
			r.lack(e, name, why)
		case taken[e.part+"\x00"+name]:
			r.notes.add(fmt.Sprintf("%s of %s are referred to twice", e.part, clean(name, 200)))
		default:
			taken[e.part+"\x00"+name] = true
			r.take(e, part, name)
		}
	}
	return nil
}

func (r *run) lack(e external, name, why string) {
	text := fmt.Sprintf("for its %s the run refers to %s, %s", e.part, clean(name, 200), why)
	if e.part == "artifacts" || e.part == "taxonomies" {
		r.notes.add(text)
		return
	}
	r.notes.blame(text)
	r.lacking = true
}

// take adds one part of external properties to the run.
func (r *run) take(e external, part *run, name string) {
	n := 0
	switch e.part {
	case "results":
		n = part.results.n
		r.hasResults = r.hasResults || part.hasResults
		part.claimed = true
		for i := range n {
			p := part.results.at(i)
			r.results.add(&p)
		}
		if !part.hasResults {
			r.lack(e, name, "which holds none")
			return
		}
	case "invocations":
		n = len(part.invocations)
		r.invocations = append(r.invocations, part.invocations...)
	case "artifacts":
		n = len(part.artifacts)
		r.artifacts = append(r.artifacts, part.artifacts...)
	case "taxonomies":
		n = len(part.taxonomies)
		r.taxonomies = append(r.taxonomies, part.taxonomies...)
	case "extensions":
		n = len(part.extensions)
		r.extensions = append(r.extensions, part.extensions...)
	case "driver":
		n = 1
		if r.driver.name == "" {
			r.driver = part.driver
		} else {
			r.driver.rules = append(r.driver.rules, part.driver.rules...)
		}
	}
	if e.items >= 0 && e.items != n && e.part != "driver" {
		r.lack(e, name, fmt.Sprintf("which holds %d of the %d that the run counts", n, e.items))
	}
	if part.digest != "" {
		r.notes.add(fmt.Sprintf("%s read from %s, sha256:%s", e.part, clean(name, 200), part.digest))
	}
}

// load returns the external properties that a reference names, or why they cannot be had.
func (r *run) load(e external) (part *run, name, why string, err error) {
	if e.at.uri == "" {
		for _, p := range r.inline {
			if e.guid != "" && strings.EqualFold(p.guid, e.guid) {
				return p, e.guid, "", nil
			}
		}
		return nil, "inline external properties " + e.guid, "which the log does not have", nil
	}
	name = e.at.uri
	file, why := r.beside(e.at)
	if why != "" {
		return nil, name, why, nil
	}
	if part, seen := r.files[file]; seen {
		return part, name, "", nil
	}
	part, err = r.readFile(file)
	var unusable *Error
	if errors.As(err, &unusable) {
		return nil, name, "", err
	}
	if err != nil {
		return nil, name, "which cannot be read: " + reason(err), nil
	}
	r.files[file] = part
	return part, name, "", nil
}

// beside returns the path of an external file within the log's folder, or why it has none.
// An absolute base is the producer's machine; the files have come along with the log.
func (r *run) beside(at place) (file, why string) {
	file, absolute, ok := filePath(at.uri)
	if base, known := r.bases[at.base]; known && base.uri != "" {
		if dir, rooted, usable := filePath(base.uri); usable && !rooted {
			file = dir + "/" + file
		}
	}
	file = path.Clean(file)
	switch {
	case !ok:
		return "", "which is not a file and is never fetched"
	case absolute || !fs.ValidPath(file) || file == ".":
		return "", "which leads out of the log's folder"
	case r.folder == nil:
		return "", "which is not read here"
	}
	return file, ""
}

// readFile reads an external property file. An *Error says that it is there and unusable.
func (d *document) readFile(file string) (*run, error) {
	info, err := fs.Stat(d.folder, file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, err
	}
	opened, err := d.folder.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	outer := d.walker
	defer func() { d.walker = outer }()
	shown := path.Join(path.Dir(slashed(d.file)), file)
	sum := sha256.New()
	input, err := open(io.TeeReader(opened, sum), outer.limits)
	if err != nil {
		return nil, explain(shown, 0, "", err)
	}
	d.walker = newWalker(input, outer.limits)
	d.seen, d.kept = outer.seen, outer.kept
	part := newRun(d)
	if d.dec.PeekKind() == jsontext.KindNull {
		err = d.wrong("an object")
	} else {
		err = d.object(strict, part.partMember)
	}
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, explain(shown, d.dec.InputOffset(), string(d.dec.StackPointer()), err)
	}
	if d.over != nil && d.over.File == "" {
		d.over.File = shown
	}
	part.digest = hex.EncodeToString(sum.Sum(nil))
	outer.kept = d.kept
	if outer.odd += d.odd; outer.oddAt == "" && d.odd > 0 {
		outer.oddAt = shown + d.oddAt
	}
	return part, nil
}

// reason is what is wrong with a file, without its path, which is said already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return clean(err.Error(), 100)
}
