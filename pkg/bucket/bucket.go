// SPDX-License-Identifier: Apache-2.0

// Package bucket owns the way to a bucket: opening it by URL, what its errors mean to a
// person, and the driver's habits that would otherwise lose data or print secrets.
//
// A place is written as a folder (relative or absolute), file:///folder, mem://,
// s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix, with the query
// parameters of gocloud.dev. Credentials come from where each provider's own tools look
// for them; none belongs into the URL, and none is ever printed.
//
// Objects are small and whole here: an object is visible with all of its bytes or not at
// all, also when the process is killed while writing it.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/fileblob"  // file://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/memblob"   // mem://
	_ "gocloud.dev/blob/s3blob"    // s3://
)

// ErrTooLarge is the error of an object above the limit that its reader set.
var ErrTooLarge = errors.New("object is too large")

// A Bucket is an open bucket that knows its own name. Its methods return errors that name
// the place and carry hints; those of the embedded blob.Bucket do not.
type Bucket struct {
	*blob.Bucket
	at address
}

// Open opens the bucket that text names, and makes the folder where it names one that is
// not there yet. Opening proves nothing about a bucket of a provider: see Probe.
func Open(ctx context.Context, text string) (*Bucket, error) { return open(ctx, text, true) }

// OpenExisting is Open for reading: a folder that does not exist is an error for which
// IsNotFound is true, and it is not made.
func OpenExisting(ctx context.Context, text string) (*Bucket, error) { return open(ctx, text, false) }

func open(ctx context.Context, text string, create bool) (*Bucket, error) {
	at, err := parse(text)
	if err != nil {
		return nil, err
	}
	target := at.target
	if at.scheme == "file" {
		target.RawQuery = fileQuery(target.Query(), create)
	}
	opened, err := blob.OpenBucket(ctx, target.String())
	if err != nil {
		return nil, at.explain("open", "", err)
	}
	if at.prefix != "" {
		opened = blob.PrefixedBucket(opened, at.prefix)
	}
	return &Bucket{Bucket: opened, at: at}, nil
}

// fileQuery adds what makes a folder a safe bucket: temporary files beside the final ones,
// because a rename from another filesystem is not atomic, and no file of attributes per
// object.
func fileQuery(query url.Values, create bool) string {
	query.Del("create_dir")
	if create {
		query.Set("create_dir", "true")
	}
	query.Set("no_tmp_dir", "true")
	query.Set("metadata", "skip")
	return query.Encode()
}

// Place returns where the object with the key lies, for people: without secrets. With an
// empty key it names the bucket.
func (b *Bucket) Place(key string) string { return b.at.place(key) }

// Address returns how the bucket is given to another command, as far as it may be shown; "" for a
// folder, and where Place says it all.
func (b *Bucket) Address() string {
	if b.at.scheme == "file" || b.at.scheme == linkScheme {
		return ""
	}
	address := Redact(b.at.raw)
	if address == b.Place("") || address == b.Place("")+"/" {
		return ""
	}
	return address
}

// Get reads one object of at most limit bytes; a larger one is ErrTooLarge.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	reader, err := b.NewReader(ctx, key, &blob.ReaderOptions{BeforeRead: quiet})
	if err != nil {
		return nil, b.at.explain("read", key, err)
	}
	data, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err = errors.Join(err, reader.Close()); err != nil {
		return nil, b.at.explain("read", key, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: %w: above %d bytes", b.Place(key), ErrTooLarge, limit)
	}
	return data, nil
}

// quiet keeps the S3 client from writing a line to standard error for each object that a
// server sends without a checksum.
func quiet(as func(any) bool) error {
	var options *[]func(*s3.Options)
	if as(&options) {
		*options = append(*options, func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	}
	return nil
}

// Remove deletes one object. One that is not there is no error.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	if err := b.Delete(ctx, key); err != nil && !IsNotFound(err) {
		return b.at.explain("delete", key, err)
	}
	return nil
}
