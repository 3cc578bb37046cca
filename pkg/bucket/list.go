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
	"time"

	"gocloud.dev/blob"
)

// An Object is what a listing tells of one object.
type Object struct {
	Key  string
	Size int64
	// Written is when it was last written, by the clock of the bucket.
	Written time.Time
}

// Keys lists the keys that begin with the prefix, in their order. The first error is the last
// that it yields.
func (b *Bucket) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for object, err := range b.Objects(ctx, prefix) {
			if !yield(object.Key, err) {
				return
			}
		}
	}
}

// Objects lists the objects whose keys begin with the prefix, in the order of the keys. The
// first error is the last that it yields.
func (b *Bucket) Objects(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	list := b.list
	if b.at.scheme == "file" {
		list = b.at.walk
	}
	return func(yield func(Object, error) bool) {
		for object, err := range list(ctx, prefix) {
			if err != nil {
				yield(Object{}, b.at.explain("list", prefix, err))
				return
			}
			if !yield(object, nil) {
				return
			}
		}
	}
}

func (b *Bucket) list(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		options := &blob.ListOptions{Prefix: prefix}
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := b.ListPage(ctx, token, 1000, options)
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, object := range page {
				if !yield(Object{Key: object.Key, Size: object.Size, Written: object.ModTime}, nil) {
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
func (a address) walk(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		objects, err := a.files(ctx, prefix)
		if err != nil {
			yield(Object{}, err)
			return
		}
		slices.SortFunc(objects, func(x, y Object) int { return strings.Compare(x.Key, y.Key) })
		for _, object := range objects {
			if !yield(object, nil) {
				return
			}
		}
	}
}

func (a address) files(ctx context.Context, prefix string) ([]Object, error) {
	root, err := filepath.EvalSymlinks(a.folder())
	if err != nil {
		return nil, err
	}
	start := root
	if folder := prefix[:strings.LastIndex(prefix, "/")+1]; plain(folder) {
		start = filepath.Join(root, filepath.FromSlash(folder))
	}
	var objects []Object
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
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		} else if err != nil {
			failed = append(failed, err)
			return nil
		}
		objects = append(objects, Object{Key: key, Size: info.Size(), Written: info.ModTime()})
		return nil
	})
	return objects, errors.Join(append(failed, err)...)
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
