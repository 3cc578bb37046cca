// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gocloud.dev/gcerrors"
)

// ErrExists is the error of PutNew where the object is there already.
var ErrExists = errors.New("the object exists already")

// PutNew writes one object that must not be there yet. Of several writers at once one
// succeeds, and the others get ErrExists, in a folder too. Whether a server that only speaks
// like a provider keeps to it is shown by KeepsNew.
func (b *Bucket) PutNew(ctx context.Context, key string, data []byte, contentType string) error {
	var err error
	if b.at.scheme == "file" {
		err = b.linkFile(key, data)
	} else {
		options := writerOptions(int64(len(data)), contentType)
		options.IfNotExist = true
		err = b.Upload(ctx, key, bytes.NewReader(data), options)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist) || gcerrors.Code(err) == gcerrors.FailedPrecondition || gcerrors.Code(err) == gcerrors.AlreadyExists:
		return fmt.Errorf("write %s: %w", b.Place(key), ErrExists)
	}
	return b.at.explain("write", key, err)
}

// KeepsNew tells whether the bucket refuses the second PutNew of an object, by trying it with
// one of a few bytes under the prefix.
func (b *Bucket) KeepsNew(ctx context.Context, prefix string) (bool, error) {
	key := prefix + rand.Text()
	if err := b.PutNew(ctx, key, []byte("probe\n"), "text/plain"); err != nil {
		return false, err
	}
	second := b.PutNew(ctx, key, []byte("probe\n"), "text/plain")
	if err := b.Remove(ctx, key); err != nil && !IsForbidden(err) {
		return false, err
	}
	if second != nil && !errors.Is(second, ErrExists) {
		return false, second
	}
	return second != nil, nil
}

// linkFile gives a finished file its name by a link, which fails where the name is taken. The
// file driver looks and then renames, so that two writers can both succeed.
func (b *Bucket) linkFile(key string, data []byte) error {
	if !plain(key) {
		return fmt.Errorf("key %q cannot be a plain name of a file", key)
	}
	path := filepath.Join(b.at.folder(), filepath.FromSlash(b.at.prefix+key))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	unfinished := path + "." + hex.EncodeToString(unique[:]) + ".tmp"
	file, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(unfinished)
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(unfinished, path); err != nil {
		return err
	}
	return b.syncFolders(filepath.Dir(path))
}
