// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/sarif"
)

// A scanFile is a file to read: its name as people wrote it, and where it lies.
type scanFile struct {
	name, path string
	globbed    bool // a glob found it: nobody named it
}

// expand returns the files that the globs match, each once, sorted by name. A glob that
// matches no file is an error of usage that names it.
func expand(dir string, globs []string) ([]scanFile, error) {
	var files []scanFile
	var errs []error
	for _, glob := range globs {
		found, err := match(dir, glob)
		switch {
		case err != nil:
			errs = append(errs, fault.Usagef("sarif %q: %w", glob, err))
		case len(found) == 0:
			errs = append(errs, fault.Hint(fault.Usagef("sarif %q matches no file in %s", glob, dir),
				"a scan that did not run leaves no file: see the scanner's own output"))
		}
		files = append(files, found...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b scanFile) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.name, b.name))
	})
	files = slices.CompactFunc(files, func(a, b scanFile) bool { return a.path == b.path })
	slices.SortFunc(files, func(a, b scanFile) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// match expands one glob. A file of that very name counts too, whatever characters it has: it
// must neither go unread nor keep those that the glob means from being read.
func match(dir, glob string) ([]scanFile, error) {
	files, err := byName(dir, glob)
	if !strings.ContainsAny(glob, `*?[{\`) {
		return files, err
	}
	base, pattern := doublestar.SplitPattern(filepath.ToSlash(glob))
	if !doublestar.ValidatePattern(pattern) {
		if len(files) == 0 {
			err = errors.New("not a glob")
		}
		return files, err
	}
	named := len(files)
	err = doublestar.GlobWalk(os.DirFS(within(dir, base)), pattern, func(name string, _ fs.DirEntry) error {
		shown := name
		if base != "." {
			shown = strings.TrimSuffix(base, "/") + "/" + name
		}
		files = append(files, scanFile{shown, filepath.Join(within(dir, base), filepath.FromSlash(name)), true})
		return nil
	}, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if errors.Is(err, fs.ErrNotExist) && len(files) == named {
		err = nil
	}
	return files, err
}

// byName returns the file of that very name, if there is one.
func byName(dir, name string) (files []scanFile, err error) {
	path := within(dir, name)
	if info, none := os.Stat(path); none == nil {
		if info.IsDir() {
			return nil, fault.Hint(errors.New("is a folder"), "name the files in it, as in %s/**/*.sarif", strings.TrimRight(name, "/"))
		}
		files = []scanFile{{name: name, path: filepath.Clean(path)}}
	}
	return files, nil
}

// readScans reads the files one after the other. One that cannot be used is a scan that says
// so: the policy then decides fail, and the record shows why. The error is that of ctx.
func readScans(ctx context.Context, run *Run, files []scanFile, options sarif.Options) ([]release.Scan, error) {
	var scans []release.Scan
	for _, file := range files {
		read, digest, err := readScan(ctx, file, options)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			read = []release.Scan{{File: file.name, Completeness: release.ScanUnusable, Notes: []string{err.Error()}}}
		}
		for i := range read {
			read[i].Digest = digest
			run.Log.Debug("scan read", "file", file.name, "tool", read[i].Tool, "findings", len(read[i].Findings))
		}
		scans = append(scans, read...)
	}
	return scans, nil
}

// readScan returns what a file holds and the digest of its bytes, which is "" when not all of
// them were read.
func readScan(ctx context.Context, file scanFile, options sarif.Options) ([]release.Scan, string, error) {
	opened, err := openScan(ctx, file)
	if err != nil {
		return nil, "", err
	}
	defer opened.Close()
	// Without the folder, what the file refers to in it is not known, and said so.
	if folder, err := os.OpenRoot(filepath.Dir(file.path)); err == nil {
		defer folder.Close()
		options.Folder = folder.FS()
	}
	sum := sha256.New()
	scans, err := sarif.Read(io.TeeReader(cancellable{ctx, opened}, sum), file.name, options)
	if err != nil {
		return nil, "", err
	}
	return scans, "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// openScan opens a file. Opening a pipe waits for a writer, who may never come: one that a
// person named is waited for until the context ends, and a glob never means one.
func openScan(ctx context.Context, file scanFile) (*os.File, error) {
	info, err := os.Stat(file.path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		return os.Open(file.path)
	case file.globbed:
		return nil, fmt.Errorf("open %s: not a regular file", file.path)
	}
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result, 1)
	go func() {
		opened, err := os.Open(file.path)
		done <- result{opened, err}
	}()
	select {
	case r := <-done:
		return r.file, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// cancellable ends reading when the context ends: a large file takes seconds.
type cancellable struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it; it lives as long as one call
	from io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(p)
}
