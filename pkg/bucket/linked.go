// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// linked is the driver of a bucket that holds what links lead to.
type linked struct {
	links  map[string]Link
	keys   []string
	client *http.Client
}

var _ driver.Bucket = (*linked)(nil)

// ErrorCode implements driver.Bucket.
func (l *linked) ErrorCode(err error) gcerrors.ErrorCode {
	var answer answeredBy
	switch {
	case errors.Is(err, errNoLink):
		return gcerrors.NotFound
	case errors.Is(err, errReading):
		return gcerrors.PermissionDenied
	case errors.As(err, &answer) && answer.status == http.StatusNotFound:
		return gcerrors.NotFound
	case errors.As(err, &answer) && answer.status == http.StatusForbidden:
		return gcerrors.PermissionDenied
	}
	return gcerrors.Unknown
}

// As implements driver.Bucket.
func (l *linked) As(any) bool { return false }

// ErrorAs implements driver.Bucket.
func (l *linked) ErrorAs(error, any) bool { return false }

// Attributes implements driver.Bucket.
func (l *linked) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	link, ok := l.links[key]
	if !ok {
		return nil, errNoLink
	}
	return &driver.Attributes{ContentType: "application/octet-stream", ModTime: link.Written, Size: link.Size, AsFunc: l.As}, nil
}

// ListPaged implements driver.Bucket. All is on one page.
func (l *linked) ListPaged(_ context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	page := &driver.ListPage{}
	for _, key := range l.keys {
		if strings.HasPrefix(key, opts.Prefix) {
			page.Objects = append(page.Objects, &driver.ListObject{Key: key, ModTime: l.links[key].Written, Size: l.links[key].Size, AsFunc: l.As})
		}
	}
	return page, nil
}

// NewRangeReader implements driver.Bucket.
func (l *linked) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	response, err := l.request(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK { // a server that knows no ranges
		if _, err := io.CopyN(io.Discard, response.Body, offset); err != nil {
			return nil, errors.Join(err, response.Body.Close())
		}
	}
	link := l.links[key]
	body := io.Reader(response.Body)
	if length >= 0 {
		body = io.LimitReader(body, length)
	}
	return &linkReader{Reader: body, close: response.Body.Close, attributes: driver.ReaderAttributes{
		ContentType: "application/octet-stream", ModTime: link.Written, Size: link.Size,
	}}, nil
}

type linkReader struct {
	io.Reader
	close      func() error
	attributes driver.ReaderAttributes
}

// Close implements driver.Reader.
func (r *linkReader) Close() error { return r.close() }

// Attributes implements driver.Reader.
func (r *linkReader) Attributes() *driver.ReaderAttributes { return &r.attributes }

// As implements driver.Reader.
func (r *linkReader) As(any) bool { return false }

// NewTypedWriter implements driver.Bucket.
func (l *linked) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return nil, errReading
}

// Copy implements driver.Bucket.
func (l *linked) Copy(context.Context, string, string, *driver.CopyOptions) error { return errReading }

// Delete implements driver.Bucket.
func (l *linked) Delete(context.Context, string, *driver.DeleteOptions) error { return errReading }

// SignedURL implements driver.Bucket.
func (l *linked) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errReading
}

// Close implements driver.Bucket.
func (l *linked) Close() error {
	l.client.CloseIdleConnections()
	return nil
}
