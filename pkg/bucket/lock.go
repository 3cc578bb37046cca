// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	managed "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/knowngood/knowngood/pkg/fault"
)

// ErrNoLocks is the error of a bucket that keeps no locks on objects.
var ErrNoLocks = errors.New("the bucket keeps no locks on objects")

// A Lock keeps an object from being deleted until a time: by anybody when Strict, else by all
// who may not override it. S3 calls the two compliance and governance.
type Lock struct {
	Until  time.Time
	Strict bool
}

// mode is the lock's mode as S3 writes it.
func (l Lock) mode() string {
	if l.Strict {
		return string(types.ObjectLockRetentionModeCompliance)
	}
	return string(types.ObjectLockRetentionModeGovernance)
}

// client returns S3's own client, ErrNoLocks where the bucket is no S3's.
func (b *Bucket) client() (*s3.Client, error) {
	var client *s3.Client
	if b.at.scheme != "s3" || !b.As(&client) {
		return nil, b.noLocks()
	}
	return client, nil
}

func (b *Bucket) noLocks() error {
	return fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("%s: %w", b.Place(""), ErrNoLocks)),
		"locks need an S3 bucket that was made with object lock; without one leave --lock-days out")
}

// KeepsLocks returns ErrNoLocks unless the bucket keeps locks on objects.
func (b *Bucket) KeepsLocks(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	found, err := client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.at.target.Host})
	switch {
	case err != nil && answered(err) == http.StatusNotFound:
		return b.noLocks()
	case err != nil:
		return b.at.explain("read the lock configuration of", "", err)
	case found.ObjectLockConfiguration == nil || found.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled:
		return b.noLocks()
	}
	return nil
}

// PutLocked is PutReader of an object that is locked from its first moment.
func (b *Bucket) PutLocked(ctx context.Context, key string, data io.Reader, size int64, contentType string, lock Lock) error {
	if b.at.scheme != "s3" {
		return b.noLocks()
	}
	options := writerOptions(size, contentType)
	options.BeforeWrite = func(as func(any) bool) error {
		var input *transfermanager.UploadObjectInput
		if !as(&input) {
			return b.noLocks()
		}
		input.ObjectLockMode = managed.ObjectLockMode(lock.mode())
		input.ObjectLockRetainUntilDate = &lock.Until
		return nil
	}
	if err := b.upload(ctx, key, data, options); err != nil {
		return b.at.explain("write", key, err)
	}
	return nil
}

// Locked returns the lock of an object, none with a zero time: also of an object that is not
// there, and in a bucket that is no S3's.
func (b *Bucket) Locked(ctx context.Context, key string) (Lock, error) {
	client, err := b.client()
	if err != nil {
		return Lock{}, nil //nolint:nilerr // a bucket without locks has none on the object
	}
	name := b.at.prefix + key
	found, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.at.target.Host, Key: &name})
	if answered(err) == http.StatusNotFound {
		return Lock{}, nil
	} else if err != nil {
		return Lock{}, b.at.explain("read", key, err)
	}
	var lock Lock
	if found.ObjectLockRetainUntilDate != nil {
		lock = Lock{Until: *found.ObjectLockRetainUntilDate, Strict: found.ObjectLockMode == types.ObjectLockModeCompliance}
	}
	return lock, nil
}

// Lock locks an object that is there, or makes its lock last longer.
func (b *Bucket) Lock(ctx context.Context, key string, lock Lock) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	name := b.at.prefix + key
	_, err = client.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: &b.at.target.Host, Key: &name,
		Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionMode(lock.mode()), RetainUntilDate: &lock.Until},
	})
	if err != nil {
		return b.at.explain("lock", key, err)
	}
	return nil
}
