// SPDX-License-Identifier: Apache-2.0

// Package debian makes base images out of Debian packages with debootstrap, from
// the archive that the host itself uses. The tree is kept in a cache, so the
// packages are fetched once; a cached tree keeps the versions of the day it was
// made until it is removed.
package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knowngood/knowngood/test/image/archive"
	"github.com/knowngood/knowngood/test/image/layer"
)

// format is raised when trees are made differently, so that old ones are not used.
const format = "1"

// A Request says which tree is wanted.
type Request struct {
	Suite   string    // code name of a Debian release, such as bookworm
	Include []string  // packages beside the essential ones
	Omit    []string  // paths left out, with all below: path.Match patterns relative to the root
	Cache   string    // folder of the cached trees; made when absent
	Log     io.Writer // where progress is told
}

// Image is the tree as an image of one layer, made now or found in the cache.
func Image(ctx context.Context, r Request) (v1.Image, error) {
	if r.Suite == "" || len(r.Include) == 0 {
		return nil, errors.New("a Debian image needs a suite and packages")
	}
	r.Omit = append(slices.Clone(unneeded), r.Omit...)
	tree := filepath.Join(r.Cache, r.Suite+"-"+key(r)+".tar")
	if err := r.ensure(ctx, tree); err != nil {
		return nil, fmt.Errorf("making a Debian tree of %s with %s: %w", r.Suite, strings.Join(r.Include, ", "), err)
	}
	plain, err := layer.Open(func() (io.ReadCloser, error) { return os.Open(tree) })
	if err != nil {
		return nil, err
	}
	config := v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}}
	return archive.Assemble(runtime.GOARCH, config, []archive.Part{{
		Layer: plain,
		Made:  "debootstrap " + r.Suite + " with " + strings.Join(sorted(r.Include), " "),
	}})
}

// unneeded is what no container reads, and what differs from run to run.
var unneeded = []string{
	"var/cache/*", "var/lib/apt/lists/*", "var/log/*", "var/lib/systemd/*", "debootstrap",
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	"dev/*", "proc/*", "sys/*", "run/*", "tmp/*", "etc/machine-id", "etc/hostname", "etc/resolv.conf",
}

// key names a tree by all that it is made from, except for the day.
func key(r Request) string {
	h := sha256.New()
	for _, part := range [][]string{{format, r.Suite, runtime.GOARCH}, sorted(r.Include), sorted(r.Omit)} {
		fmt.Fprintf(h, "%q\n", part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// ensure makes the tree unless it is there; a second process waits for the first.
func (r Request) ensure(ctx context.Context, tree string) error {
	if _, err := os.Stat(tree); err == nil {
		return nil
	}
	if err := mkdir(r.Cache); err != nil {
		return err
	}
	unlock, err := lock(ctx, tree+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(tree); err == nil {
		return nil
	}
	return r.make(ctx, tree)
}

func (r Request) make(ctx context.Context, tree string) (err error) {
	if err := Check(); err != nil {
		return err
	}
	mirror, err := Mirror(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(r.Cache, "tree-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root := filepath.Join(dir, "root")
	if err := r.bootstrap(ctx, root, mirror); err != nil {
		return err
	}
	fresh := filepath.Join(dir, "tree.tar")
	if err := pack(fresh, root, r.Omit); err != nil {
		return err
	}
	return os.Rename(fresh, tree)
}

// Check says what this host lacks for making a tree, with the cure.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can make a Debian tree: run this with sudo")
	}
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	for _, dir := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(dir, "debootstrap")); err == nil && info.Mode()&0o111 != 0 {
			return nil
		}
	}
	return errors.New("debootstrap is not installed: apt-get install debootstrap")
}

// lock takes an exclusive lock on a file of its own, or waits for it.
func lock(ctx context.Context, path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
		}
		return func() { _ = file.Close() }, nil // closing unlocks
	case <-ctx.Done():
		return nil, ctx.Err() // the process ends, and the wait with it
	}
}

// pack writes the tree as a layer.
func pack(path, root string, omit []string) error {
	entries, err := list(root, omit)
	if err != nil {
		return fmt.Errorf("reading the tree: %w", err)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(layer.Write(out, entries), out.Close())
}

// list is every file of the tree, hard links as such. Device files are left out: a
// container gets its own.
func list(root string, omit []string) ([]layer.Entry, error) {
	var entries []layer.Entry
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		if omitted(rel, omit) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
			return nil
		}
		e, err := entry(at, rel, info, first)
		entries = append(entries, e)
		return err
	})
	return entries, err
}

func omitted(rel string, omit []string) bool {
	return slices.ContainsFunc(omit, func(pattern string) bool {
		match, err := filepath.Match(pattern, rel)
		return err == nil && match
	})
}

func entry(at, rel string, info fs.FileInfo, first map[uint64]string) (layer.Entry, error) {
	e := layer.Entry{Path: rel, Mode: info.Mode()}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return e, fmt.Errorf("%s: the filesystem tells no owner", rel)
	}
	e.UID, e.GID = int(stat.Uid), int(stat.Gid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(at)
		e.Link = link
		return e, err
	case !info.Mode().IsRegular():
		return e, nil
	}
	if stat.Nlink > 1 {
		if known := first[stat.Ino]; known != "" {
			e.Link = known
			return e, nil
		}
		first[stat.Ino] = rel
	}
	e.Size, e.Open = info.Size(), func() (io.ReadCloser, error) { return os.Open(at) }
	return e, nil
}
