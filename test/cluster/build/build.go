// SPDX-License-Identifier: Apache-2.0

package build

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
	"slices"
	"syscall"
	"time"
)

// Result says where the programs are.
type Result struct {
	Programs map[string]string // every name by which a program is called, to its file
	Folders  map[string]string // of YAML files, by name
	Built    int               // programs that were not in the cache
}

// Builder makes what is missing in the cache. The zero value is not usable: see New.
type Builder struct {
	source string // folder test/cluster of a checkout
	cache  string
	user   *owner // nil: whoever runs this process
	out    io.Writer
}

// New makes a builder for the sources in a folder. Progress goes to out, one plain line at a time.
func New(source string, out io.Writer) (*Builder, error) {
	source, err := filepath.Abs(source)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(source, "parts", "go.mod")); err != nil {
		return nil, fmt.Errorf("%s does not hold the cluster's sources: run this in test/cluster of a checkout (go -C test/cluster run .)", source)
	}
	user, err := invoker()
	if err != nil {
		return nil, err
	}
	cache, err := user.cacheDir()
	if err != nil {
		return nil, err
	}
	return &Builder{source: source, cache: filepath.Join(cache, "knowngood", "cluster"), user: user, out: out}, nil
}

// Cache is the folder that survives the cluster.
func (b *Builder) Cache() string { return b.cache }

// Ensure returns the programs, those of the given parts included, after building what the cache lacks.
func (b *Builder) Ensure(ctx context.Context, parts []string) (*Result, error) {
	if err := b.user.mkdir(b.cache); err != nil {
		return nil, err
	}
	unlock, err := b.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	tool, err := b.goTool(ctx)
	if err != nil {
		return nil, err
	}
	result := &Result{Programs: map[string]string{}, Folders: map[string]string{}}
	for _, m := range modules() {
		if m.part != "" && !slices.Contains(parts, m.part) {
			continue
		}
		if err := b.module(ctx, tool, m, result); err != nil {
			return nil, err
		}
	}
	for _, f := range folders() {
		if f.part != "" && !slices.Contains(parts, f.part) {
			continue
		}
		if result.Folders[f.name], err = b.folder(ctx, tool, f); err != nil {
			return nil, err
		}
	}
	b.prune(result)
	return result, nil
}

// lock keeps two builders from making the same programs twice. The lock is on the folder itself.
func (b *Builder) lock() (unlock func(), err error) {
	dir, err := os.Open(b.cache)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		b.say("another build is under way; waiting for it")
		if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
			_ = dir.Close()
			return nil, fmt.Errorf("locking %s: %w", b.cache, err)
		}
	}
	return func() { _ = dir.Close() }, nil
}

func (b *Builder) module(ctx context.Context, tool goTool, m module, result *Result) error {
	var missing []program
	places := map[string]string{}
	for _, p := range m.programs {
		key, err := b.key(tool, m, p)
		if err != nil {
			return err
		}
		places[p.name] = filepath.Join(b.cache, p.name+"-"+key, p.name)
		if _, err := os.Stat(places[p.name]); err != nil {
			missing = append(missing, p)
		}
		for _, name := range append(p.called, p.name) {
			result.Programs[name] = places[p.name]
		}
	}
	if len(missing) == 0 {
		return nil
	}
	temp, err := b.user.mkdirTemp(b.cache)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := b.compile(ctx, tool, m, missing, temp); err != nil {
		return err
	}
	for _, p := range missing {
		if err := b.keep(filepath.Join(temp, p.name), places[p.name]); err != nil {
			return err
		}
	}
	result.Built += len(missing)
	return nil
}

func (b *Builder) keep(from, to string) error {
	if err := b.user.mkdir(filepath.Dir(to)); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// folder copies files out of the module cache, so that a warm start does not ask for it.
func (b *Builder) folder(ctx context.Context, tool goTool, f folder) (string, error) {
	key, err := b.key(tool, module{dir: "parts"}, program{name: f.name})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Append([]byte(key), f.files))
	dir := filepath.Join(b.cache, f.name+"-"+hex.EncodeToString(sum[:])[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := b.user.mkdirTemp(b.cache)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	for _, from := range f.files {
		if err := b.copyFiles(ctx, tool, from, temp); err != nil {
			return "", err
		}
	}
	return dir, os.Rename(temp, dir)
}

func (b *Builder) copyFiles(ctx context.Context, tool goTool, from files, to string) error {
	root, err := b.moduleDir(ctx, tool, from.module)
	if err != nil {
		return err
	}
	matches, err := filepath.Glob(filepath.Join(root, from.pattern))
	if err != nil {
		return err
	}
	if len(matches) == 0 {
		return fmt.Errorf("module %s has no files %s", from.module, from.pattern)
	}
	for _, match := range matches {
		data, err := os.ReadFile(match)
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.Base(match))
		if err := errors.Join(os.WriteFile(target, data, 0o644), b.user.own(target)); err != nil {
			return err
		}
	}
	return nil
}

// unused is how long programs of other keys are kept: switching between two branches does not build each time.
const unused = 14 * 24 * time.Hour

// prune removes programs that no build asked for in a long time, and marks those that this one uses.
func (b *Builder) prune(used *Result) {
	now := time.Now()
	for _, path := range used.Programs {
		_ = os.Chtimes(filepath.Dir(path), now, now) // only a date
	}
	for _, dir := range used.Folders {
		_ = os.Chtimes(dir, now, now)
	}
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && now.Sub(info.ModTime()) > unused {
			_ = os.RemoveAll(filepath.Join(b.cache, entry.Name())) // next time
		}
	}
}

func (b *Builder) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, "cluster: "+format+"\n", args...)
}

// readTree calls see for every regular file below a folder, by name.
func readTree(dir string, see func(name string, data []byte)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		see(path, data)
		return nil
	})
}
