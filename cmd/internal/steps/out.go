// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/pkg/sarif"
	"github.com/knowngood/knowngood/pkg/step"
)

// outDoc names the formats as gateFormats knows them.
const outDoc = "File to write the decision to, as FORMAT=FILE with the format sarif (for GitHub's upload), json, junit, gitlab (its SAST report), " +
	"markdown or text; can be given more than once."

// gateFormats are the forms that a decision is written in.
func gateFormats(name string) (func(release.Entry) ([]byte, error), bool) {
	form, ok := map[string]func(release.Entry) ([]byte, error){
		"sarif":  func(e release.Entry) ([]byte, error) { return written(*e.Decision, sarif.Upload) },
		"json":   func(e release.Entry) ([]byte, error) { return indented(e) },
		"junit":  report.JUnit,
		"gitlab": report.GitLab,
		"markdown": func(e release.Entry) ([]byte, error) {
			return []byte(report.Summary(recordOf(e), report.Options{})), nil
		},
		"text": func(e release.Entry) ([]byte, error) { return []byte(report.Entry(e)), nil },
	}[name]
	return form, ok
}

func written(d release.Decision, form sarif.Form) ([]byte, error) {
	var text bytes.Buffer
	err := sarif.Write(&text, d, form)
	return text.Bytes(), err
}

func indented(value any) ([]byte, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return append(text, '\n'), err
}

func recordOf(e release.Entry) release.Record {
	return release.Record{Subject: e.Subject, Entries: []release.Entry{e}}
}

// out holds the input that names the files to write.
type out struct{ given []string }

func (o *out) declare(set *step.Set, doc string) { set.List(&o.given, "out", doc) }

// An outFile is one file to write, of a value of type T.
type outFile[T any] struct {
	given string // as a person wrote it
	path  string
	form  func(T) ([]byte, error)
}

// prepareOut checks where the files will lie and removes older ones of their names, so that nobody
// takes those for this decision's when there is none. A file that is also one to read is
// refused: it would be read the next time.
func prepareOut[T any](dir string, o out, read []string, formats func(string) (func(T) ([]byte, error), bool)) ([]outFile[T], error) {
	var files []outFile[T]
	var errs []error
	for _, given := range o.given {
		file, err := parseOut(dir, given, formats)
		if err == nil && slices.ContainsFunc(files, func(f outFile[T]) bool { return f.path == file.path }) {
			err = fault.Usagef("out %q: the file is named twice", given)
		}
		for _, glob := range read {
			if err == nil && reads(dir, glob, file.path) {
				err = fault.Hint(fault.Usagef("out %q: %q reads that file as a scan", given, glob), "write it to another folder")
			}
		}
		files = append(files, file)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("out %q: remove the older file: %w", file.given, err))
		}
	}
	return files, errors.Join(errs...)
}

func parseOut[T any](dir, given string, formats func(string) (func(T) ([]byte, error), bool)) (outFile[T], error) {
	name, path, found := strings.Cut(given, "=")
	form, known := formats(name)
	switch {
	case !found || path == "":
		return outFile[T]{}, fault.Hint(fault.Usagef("out %q: want FORMAT=FILE", given), "for instance --out sarif=knowngood.sarif")
	case !known:
		all := slices.DeleteFunc([]string{"sarif", "json", "junit", "gitlab", "markdown", "text"}, func(other string) bool {
			_, ok := formats(other)
			return !ok
		})
		return outFile[T]{}, fault.Hint(fault.Usagef("out %q: there is no format %q", given, name), "write one of %s, as in --out sarif=knowngood.sarif", strings.Join(all, ", "))
	}
	file := outFile[T]{given, filepath.Clean(within(dir, path)), form}
	if info, err := os.Stat(filepath.Dir(file.path)); err != nil || !info.IsDir() {
		return file, fault.Hint(fault.Usagef("out %q: there is no folder %s", given, filepath.Dir(path)), "make it before")
	}
	if info, err := os.Lstat(file.path); err == nil && info.IsDir() {
		return file, fault.Usagef("out %q: is a folder", given)
	}
	return file, nil
}

// reads tells whether a glob matches the file, or would once it is there.
func reads(dir, glob, path string) bool {
	if glob == "" || filepath.Clean(within(dir, glob)) == path {
		return glob != ""
	}
	pattern, name := filepath.Clean(glob), path
	if !filepath.IsAbs(glob) {
		var err error
		if name, err = filepath.Rel(dir, path); err != nil {
			return false
		}
	}
	matched, err := doublestar.PathMatch(pattern, name)
	return err == nil && matched
}

// writeOut writes all files or none: each is written whole beside its place first.
func writeOut[T any](files []outFile[T], value T) error {
	drafts := make([]string, len(files))
	defer func() {
		for _, draft := range drafts {
			if draft != "" {
				os.Remove(draft) // after a rename there is none
			}
		}
	}()
	for i, file := range files {
		text, err := file.form(value)
		if err == nil {
			drafts[i], err = draft(filepath.Dir(file.path), text)
		}
		if err != nil {
			return fmt.Errorf("out %q: %w", file.given, err)
		}
	}
	for i, file := range files {
		if err := os.Rename(drafts[i], file.path); err != nil {
			return fmt.Errorf("out %q: %w", file.given, err)
		}
	}
	return nil
}

func draft(folder string, text []byte) (string, error) {
	file, err := os.CreateTemp(folder, ".knowngood-*.draft")
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	return file.Name(), errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}
