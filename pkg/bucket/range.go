// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"gocloud.dev/blob"
)

// ErrRange is the error of a read beyond the end of an object.
var ErrRange = errors.New("the object is shorter")

// GetRange hands the bytes of an object from offset on to a writer, length of them, or with a
// negative length all. An object that ends before is ErrRange.
func (b *Bucket) GetRange(ctx context.Context, key string, offset, length int64, to io.Writer) error {
	reader, err := b.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: quiet})
	if err != nil {
		if answered(err) == http.StatusRequestedRangeNotSatisfiable {
			err = fmt.Errorf("%w: %w", ErrRange, err)
		}
		return b.at.explain("read", key, err)
	}
	n, err := reader.WriteTo(to)
	if err = errors.Join(err, reader.Close()); err != nil {
		return b.at.explain("read", key, err)
	}
	if length >= 0 && n != length {
		return fmt.Errorf("read %s: %w: %d bytes at %d, want %d", b.Place(key), ErrRange, n, offset, length)
	}
	return nil
}

// Look returns what the bucket knows of one object.
func (b *Bucket) Look(ctx context.Context, key string) (Object, error) {
	found, err := b.Attributes(ctx, key)
	if err != nil {
		return Object{}, b.at.explain("read", key, err)
	}
	return Object{Key: key, Size: found.Size, Written: found.ModTime}, nil
}
