// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/knowngood/knowngood/test/image/archive"
	"github.com/knowngood/knowngood/test/image/layer"
)

type owner struct{ uid, gid int }

// A source is a folder that COPY reads. Links that lead out of it are refused by
// the root itself.
type source struct {
	name   string
	root   *os.Root
	ignore *patternmatcher.PatternMatcher // nil ignores nothing
}

// copy adds one layer with the files of a COPY.
func (b *builder) copy(c *instructions.CopyCommand) error {
	who, perm, err := attributes(c)
	if err != nil {
		return fmt.Errorf("COPY: %w", err)
	}
	from, err := b.source(c.From)
	if err != nil {
		return fmt.Errorf("COPY: %w", err)
	}
	defer from.root.Close()
	paths, err := from.match(c.SourcePaths)
	if err != nil {
		return fmt.Errorf("COPY: %w", err)
	}
	destination := strings.TrimPrefix(absolute(b.config.WorkingDir, c.DestPath), "/")
	inside := strings.HasSuffix(c.DestPath, "/") || c.DestPath == "." || destination == "" || b.have[destination] == folder
	if len(paths) > 1 && !inside {
		return fmt.Errorf("COPY: %d sources need a destination that ends with a slash, not %s", len(paths), c.DestPath)
	}
	var entries []layer.Entry
	for _, p := range paths {
		more, err := b.take(from, p, destination, inside)
		if err != nil {
			return fmt.Errorf("COPY %s: %w", p, err)
		}
		entries = append(entries, more...)
	}
	for i := range entries {
		entries[i].UID, entries[i].GID = who.uid, who.gid
		if perm != nil && entries[i].Mode.IsRegular() {
			entries[i].Mode = *perm
		}
	}
	var above []layer.Entry
	for _, e := range entries {
		above = append(above, b.parents(e.Path, who)...)
	}
	return b.add(append(above, entries...), c.String())
}

// attributes reads the flags of a COPY, and refuses those that are not followed.
func attributes(c *instructions.CopyCommand) (owner, *fs.FileMode, error) {
	switch {
	case len(c.SourceContents) > 0:
		return owner{}, nil, errors.New("files written in the recipe itself are not supported")
	case len(c.ExcludePatterns) > 0:
		return owner{}, nil, errors.New("--exclude is not supported: use .dockerignore")
	case c.Parents:
		return owner{}, nil, errors.New("--parents is not supported")
	}
	var who owner
	if c.Chown != "" {
		user, group, both := strings.Cut(c.Chown, ":")
		if !both {
			group = user
		}
		uid, err1 := strconv.Atoi(user)
		gid, err2 := strconv.Atoi(group)
		if err1 != nil || err2 != nil {
			return owner{}, nil, fmt.Errorf("--chown=%s: only numbers are supported", c.Chown)
		}
		who = owner{uid, gid}
	}
	if c.Chmod == "" {
		return who, nil, nil
	}
	bits, err := strconv.ParseUint(c.Chmod, 8, 9)
	if err != nil {
		return owner{}, nil, fmt.Errorf("--chmod=%s: only octal permissions are supported", c.Chmod)
	}
	perm := fs.FileMode(bits)
	return who, &perm, nil
}

// source opens the context, or the folder that stands for a stage.
func (b *builder) source(from string) (*source, error) {
	if from == "" {
		root, err := os.OpenRoot(b.request.Context)
		if err != nil {
			return nil, fmt.Errorf("opening the context: %w", err)
		}
		s := &source{name: "the context", root: root}
		return s, s.readIgnore()
	}
	dir, given := b.request.Stages[from]
	if !given {
		return nil, fmt.Errorf("--from=%s: that stage is not built here; give its files (--from %s=FOLDER)", from, from)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of stage %s: %w", from, err)
	}
	return &source{name: "the folder of stage " + from, root: root}, nil
}

func (s *source) readIgnore() error {
	in, err := s.root.Open(".dockerignore")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	patterns, err := ignorefile.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading .dockerignore: %w", err)
	}
	s.ignore, err = patternmatcher.New(patterns)
	return err
}

func (s *source) ignored(p string) (bool, error) {
	if s.ignore == nil || p == "." {
		return false, nil
	}
	return s.ignore.MatchesOrParentMatches(p)
}

// match finds the sources; each pattern must find something.
func (s *source) match(patterns []string) ([]string, error) {
	var found []string
	for _, pattern := range patterns {
		clean := strings.TrimPrefix(path.Clean("/"+pattern), "/")
		if clean == "" {
			clean = "."
		}
		matches, err := fs.Glob(s.root.FS(), clean)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		count := len(found)
		for _, m := range matches {
			ignored, err := s.ignored(m)
			if err != nil {
				return nil, err
			}
			if !ignored {
				found = append(found, m)
			}
		}
		if len(found) == count {
			_, err := s.root.Stat(clean)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%s: not found in %s", pattern, s.name)
			}
			return nil, err
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// take lists what one source becomes: a folder's contents, or one file.
func (b *builder) take(s *source, p, destination string, inside bool) ([]layer.Entry, error) {
	info, err := s.root.Stat(p)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		target := destination
		if inside {
			target = path.Join(destination, path.Base(p))
		}
		e, err := s.entry(p, target, info)
		return []layer.Entry{e}, err
	}
	return s.walk(p, destination)
}

func (s *source) walk(p, destination string) ([]layer.Entry, error) {
	var entries []layer.Entry
	err := fs.WalkDir(s.root.FS(), p, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ignored, err := s.ignored(at)
		if err != nil || ignored {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(strings.TrimPrefix(at, p), "/")
		if p == "." && at != "." {
			below = at
		}
		target := path.Join(destination, below)
		if target == "" || target == "." {
			return nil
		}
		e, err := s.entry(at, target, info)
		entries = append(entries, e)
		return err
	})
	return entries, err
}

// entry is one file. Permissions are made uniform, because those of a checkout
// depend on the umask of whoever made it.
func (s *source) entry(at, target string, info fs.FileInfo) (layer.Entry, error) {
	e := layer.Entry{Path: target, Mode: 0o644}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Mode = fs.ModeDir | 0o755
	case mode&fs.ModeSymlink != 0:
		link, err := s.root.Readlink(at)
		e.Mode, e.Link = fs.ModeSymlink, link
		return e, err
	case !mode.IsRegular():
		return e, fmt.Errorf("%s is a %s, which no layer can hold here", at, mode.Type())
	default:
		if mode.Perm()&0o111 != 0 {
			e.Mode = 0o755
		}
		e.Size = info.Size()
		root := s.root.Name()
		e.Open = func() (io.ReadCloser, error) { return os.OpenInRoot(root, at) }
	}
	return e, nil
}

// parents are the folders above a path which no layer holds so far.
func (b *builder) parents(p string, who owner) []layer.Entry {
	var entries []layer.Entry
	for dir := path.Dir(p); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if b.have[dir] == absent {
			entries = append(entries, layer.Entry{Path: dir, Mode: fs.ModeDir | 0o755, UID: who.uid, GID: who.gid})
		}
	}
	return entries
}

// add makes a layer of the entries; a path that comes twice counts once, the last
// time. Folders that exist keep what they are.
func (b *builder) add(entries []layer.Entry, made string) error {
	last := map[string]layer.Entry{}
	for _, e := range entries {
		if !e.Mode.IsDir() || b.have[e.Path] != folder {
			last[e.Path] = e
		}
	}
	if len(last) == 0 {
		return nil
	}
	kept := make([]layer.Entry, 0, len(last))
	for p, e := range last {
		kept = append(kept, e)
		b.have[p] = file
		if e.Mode.IsDir() {
			b.have[p] = folder
		}
	}
	l, err := layer.From(kept)
	if err != nil {
		return err
	}
	b.parts = append(b.parts, archive.Part{Layer: l, Made: made})
	return nil
}
