// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gocloud.dev/blob"
)

// Keys lists the keys that begin with the prefix, in their order. The first error is the last
// that it yields.
func (b *Bucket) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	list := b.list
	if b.at.scheme == "file" {
		list = b.at.walk
	}
	return func(yield func(string, error) bool) {
		for key, err := range list(ctx, prefix) {
			if err != nil {
				yield("", b.at.explain("list", prefix, err))
				return
			}
			if !yield(key, nil) {
				return
			}
		}
	}
}

func (b *Bucket) list(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		options := &blob.ListOptions{Prefix: prefix}
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := b.ListPage(ctx, token, 1000, options)
			if err != nil {
				yield("", err)
				return
			}
			for _, object := range page {
				if !yield(object.Key, nil) {
					return
				}
			}
			token = next
		}
	}
}

// walk lists a folder. The file driver's own listing passes over folders that it may not
// read or that are links, walks the whole tree for each page, and fails when a writer ends
// beside it. What is not seen must not count as not there: each of these is an error here.
func (a address) walk(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		keys, err := a.files(ctx, prefix)
		if err != nil {
			yield("", err)
			return
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
	}
}

func (a address) files(ctx context.Context, prefix string) ([]string, error) {
	root, err := filepath.EvalSymlinks(a.folder())
	if err != nil {
		return nil, err
	}
	start := root
	if folder := prefix[:strings.LastIndex(prefix, "/")+1]; plain(folder) {
		start = filepath.Join(root, filepath.FromSlash(folder))
	}
	var keys []string
	var failed []error
	err = filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist) || err == nil && strings.HasSuffix(path, ".tmp") && temporary.MatchString(path):
			return nil // nothing there yet; or a writer at work, or one that was killed
		case err != nil:
			failed = append(failed, err)
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			if !isFile(path) {
				failed = append(failed, fmt.Errorf("%s is a link, which is not followed", path))
				return nil
			}
		case entry.IsDir():
			return nil
		}
		key := unescape(filepath.ToSlash(strings.TrimPrefix(path[len(root):], string(filepath.Separator))))
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	return keys, errors.Join(append(failed, err)...)
}

// isFile tells whether a link leads to a file. One that leads nowhere does not.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

var (
	// temporary is how the file driver names a file that it has not finished.
	temporary = regexp.MustCompile(`\.[0-9a-f]{15,16}\.tmp$`)
	// escaped is how the file driver writes a rune that a path cannot have.
	escaped = regexp.MustCompile(`__0x([0-9a-f]{1,8})__`)
)

func unescape(path string) string {
	return escaped.ReplaceAllStringFunc(path, func(found string) string {
		r, err := strconv.ParseInt(escaped.FindStringSubmatch(found)[1], 16, 32)
		if err != nil {
			return found
		}
		return string(rune(r))
	})
}

// plain tells whether the file driver writes the folder of a key as it is.
func plain(folder string) bool {
	return filepath.IsLocal(folder) && !strings.Contains(folder, "__0x") && !strings.Contains(folder, "//") &&
		!strings.Contains(folder, "../") && !strings.ContainsFunc(folder, func(r rune) bool { return r < ' ' })
}
