// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// contentType is what every object of a repository is to a bucket.
const contentType = "application/octet-stream"

// storage is a bucket as kopia wants it: flat names, whole objects, and its own errors for
// what is absent, too short or forbidden. Retries are the business of kopia's wrapper.
type storage struct {
	blob.DefaultProviderImplementation
	bucket *bucket.Bucket
	// handle is under which name kopia finds the storage again.
	handle string
	// locks locks what is written; nil locks nothing.
	locks *locks
}

var _ blob.Storage = (*storage)(nil)

// GetBlob implements blob.Storage. A length of 0 asks only whether the object is there.
func (s *storage) GetBlob(ctx context.Context, id blob.ID, offset, length int64, output blob.OutputBuffer) error {
	output.Reset()
	switch {
	case offset < 0:
		return fmt.Errorf("%s: offset %d: %w", id, offset, blob.ErrInvalidRange)
	case length == 0:
		_, err := s.GetMetadata(ctx, id)
		return err
	}
	return translate(s.bucket.GetRange(ctx, string(id), offset, length, output))
}

// GetMetadata implements blob.Storage.
func (s *storage) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	found, err := s.bucket.Look(ctx, string(id))
	if err != nil {
		return blob.Metadata{}, translate(err)
	}
	return blob.Metadata{BlobID: id, Length: found.Size, Timestamp: found.Written}, nil
}

// PutBlob implements blob.Storage. It passes over kopia.blobcfg, which kopia writes beside
// kopia.repository: a process that is killed between the two would leave a repository that no
// password opens. Without the object its content is the default, which holds no setting.
func (s *storage) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, options blob.PutOptions) error {
	switch {
	case options.HasRetentionOptions():
		return fmt.Errorf("retention of %s: %w", id, blob.ErrUnsupportedPutBlobOption)
	case !options.SetModTime.IsZero():
		return blob.ErrSetTimeUnsupported
	case id == format.KopiaBlobCfgBlobID:
		return nil
	}
	if err := s.put(ctx, id, data, options.DoNotRecreate); err != nil {
		return err
	}
	if options.GetModTime == nil {
		return nil
	}
	found, err := s.GetMetadata(ctx, id)
	*options.GetModTime = found.Timestamp
	return err
}

func (s *storage) put(ctx context.Context, id blob.ID, data blob.Bytes, isNew bool) error {
	if isNew {
		var whole bytes.Buffer
		if _, err := data.WriteTo(&whole); err != nil {
			return err
		}
		return translate(s.bucket.PutNew(ctx, string(id), whole.Bytes(), contentType))
	}
	reader := data.Reader()
	defer reader.Close()
	if s.locks.wants(id) {
		return translate(s.bucket.PutLocked(ctx, string(id), reader, int64(data.Length()), contentType, s.locks.until()))
	}
	return translate(s.bucket.PutReader(ctx, string(id), reader, int64(data.Length()), contentType))
}

// DeleteBlob implements blob.Storage.
func (s *storage) DeleteBlob(ctx context.Context, id blob.ID) error {
	return translate(s.bucket.Remove(ctx, string(id)))
}

// ListBlobs implements blob.Storage.
func (s *storage) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	for object, err := range s.bucket.Objects(ctx, string(prefix)) {
		if err != nil {
			return translate(err)
		}
		if strings.HasPrefix(object.Key, ownPrefix) {
			continue
		}
		found := blob.Metadata{BlobID: blob.ID(object.Key), Length: object.Size, Timestamp: object.Written}
		if err := each(found); err != nil {
			return err
		}
	}
	return nil
}

// ownPrefix is where this program keeps objects of its own that are no part of kopia's format.
const ownPrefix = "knowngood/"

// ConnectionInfo implements blob.Storage.
func (s *storage) ConnectionInfo() blob.ConnectionInfo {
	return blob.ConnectionInfo{Type: storageType, Config: &connection{Handle: s.handle}}
}

// DisplayName implements blob.Storage.
func (s *storage) DisplayName() string { return s.bucket.Place("") }

// A meaning is an error of the bucket that is also one of kopia's, so that both errors.Is.
type meaning struct {
	error
	as error
}

func (m meaning) Unwrap() []error { return []error{m.error, m.as} }

// translate gives an error the meaning that kopia acts upon. What is forbidden, or finds no room
// on a disk, is not tried again; all else is.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucket.ErrExists):
		return meaning{err, blob.ErrBlobAlreadyExists}
	case errors.Is(err, bucket.ErrRange):
		return meaning{err, blob.ErrInvalidRange}
	case bucket.IsForbidden(err), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return meaning{err, blob.ErrInvalidCredentials}
	case bucket.IsNotFound(err):
		return meaning{err, blob.ErrBlobNotFound}
	}
	return err
}
