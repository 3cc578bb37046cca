// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
)

// Put writes one object, whole or not at all. In a folder it has reached the disk when Put
// returns.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, contentType string) error {
	return b.PutReader(ctx, key, bytes.NewReader(data), int64(len(data)), contentType)
}

// PutReader is Put of an object whose size bytes come from a reader.
func (b *Bucket) PutReader(ctx context.Context, key string, data io.Reader, size int64, contentType string) error {
	write := b.upload
	if b.at.scheme == "file" || b.at.scheme == "mem" {
		write = b.write
	}
	if err := write(ctx, key, data, writerOptions(size, contentType)); err != nil {
		return b.at.explain("write", key, err)
	}
	return nil
}

// onePart is up to which size an object goes to a provider in one request.
const onePart = 64 << 20

// writerOptions let the client send an object in one request, which needs no more memory than
// the caller has given to it already.
func writerOptions(size int64, contentType string) *blob.WriterOptions {
	options := &blob.WriterOptions{ContentType: contentType, MaxConcurrency: 1}
	if 0 < size && size <= onePart {
		options.BufferSize = int(size)
	}
	return options
}

// upload is for the providers: the Azure driver's Writer.Close panics when a write fails,
// and its Upload does not. The Google driver keeps what it got from a source that breaks off,
// unless its context ends before.
func (b *Bucket) upload(ctx context.Context, key string, data io.Reader, options *blob.WriterOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := &source{in: data, broken: cancel}
	err := b.Upload(ctx, key, from, options)
	if from.err != nil {
		return from.err
	}
	return err
}

// source tells when what it reads breaks off.
type source struct {
	in     io.Reader
	broken func()
	err    error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
		s.broken()
	}
	return n, err
}

// write is for folders and memory, where Upload keeps what it got when its source breaks off or
// the disk takes only half of it. A writer whose context is cancelled before Close leaves
// nothing.
func (b *Bucket) write(ctx context.Context, key string, data io.Reader, options *blob.WriterOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File
	options.BeforeWrite = func(as func(any) bool) error { as(&file); return nil }
	writer, err := b.NewWriter(ctx, key, options)
	if err != nil {
		return err
	}
	_, err = io.Copy(writer, data)
	if err == nil && file != nil {
		err = file.Sync() // before it has its name: a name without its bytes is half an entry
	}
	if err != nil {
		cancel()
		return errors.Join(err, ignoreCancelled(writer.Close()))
	}
	if err := writer.Close(); err != nil || file == nil {
		return err
	}
	return b.syncFolders(filepath.Dir(file.Name()))
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
