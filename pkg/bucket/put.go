// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
)

// Put writes one object, whole or not at all. In a folder it has reached the disk when Put
// returns.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, contentType string) error {
	write := b.upload
	if b.at.scheme == "file" {
		write = b.writeFile
	}
	if err := write(ctx, key, data, contentType); err != nil {
		return b.at.explain("write", key, err)
	}
	return nil
}

// upload is for the providers: the Azure driver's Writer.Close panics when a write fails,
// and its Upload does not.
func (b *Bucket) upload(ctx context.Context, key string, data []byte, contentType string) error {
	return b.Upload(ctx, key, bytes.NewReader(data), &blob.WriterOptions{ContentType: contentType})
}

// writeFile is for folders: Upload would give a file its final name although the disk took
// only half of it. A writer whose context is cancelled before Close leaves nothing.
func (b *Bucket) writeFile(ctx context.Context, key string, data []byte, contentType string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	writer, err := b.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: contentType,
		BeforeWrite: func(as func(any) bool) error { as(&file); return nil },
	})
	if err != nil {
		return err
	}
	_, err = writer.Write(data)
	if err == nil {
		err = file.Sync() // before it has its name: a name without its bytes is half an entry
	}
	if err != nil {
		cancel()
		return errors.Join(err, ignoreCancelled(writer.Close()))
	}
	folder := filepath.Dir(file.Name())
	if err := writer.Close(); err != nil {
		return err
	}
	return b.syncFolders(folder)
}

// ignoreCancelled passes over what Close says because the writer was given up.
func ignoreCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// syncFolders brings the names in a folder to the disk, and those in the folders above it up
// to the bucket's own, any of which may be new.
func (b *Bucket) syncFolders(folder string) error {
	top, err := filepath.Abs(b.at.folder())
	if err != nil {
		return err
	}
	for len(folder) >= len(top) {
		file, err := os.Open(folder)
		if err != nil {
			return err
		}
		err = file.Sync()
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
			err = nil // some network file systems bring names to the disk by themselves
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		if filepath.Dir(folder) == folder {
			break
		}
		folder = filepath.Dir(folder)
	}
	return nil
}
