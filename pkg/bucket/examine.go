// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// What a probe says of locks, versions and expiry besides what is there.
const (
	none     = "none"
	notKnown = "not known"
)

// Examine tries what a repository needs of the bucket, by an object of a few bytes under the
// prefix, with a name never used before: write it, be refused to write it again, read it back,
// list it, delete it. It asks the provider for rules that lock, keep or delete objects; what it
// may not ask is "not known". What a repository cannot do without is an error, and what a person
// should know or change is among the concerns. It takes seven requests on S3, at most nine.
func (b *Bucket) Examine(ctx context.Context, prefix string, now func() time.Time) (release.Probe, error) {
	p := release.Probe{Locks: notKnown, Versions: notKnown, Expiry: notKnown}
	key := prefix + rand.Text()
	text := []byte(key + "\n")
	before := now()
	// A first try that was answered too late may have written it.
	if err := b.PutNew(ctx, key, text, "text/plain"); err != nil && !errors.Is(err, ErrExists) {
		return p, fmt.Errorf("the bucket cannot be written to: %w", err)
	}
	after := now()
	again := b.PutNew(ctx, key, text, "text/plain")
	if p.Creates = errors.Is(again, ErrExists); again != nil && !p.Creates {
		return p, again
	}
	if err := b.returns(ctx, key, text, &p, before, after); err != nil {
		return p, err
	}
	switch err := b.Remove(ctx, key); {
	case err == nil:
		p.Deletes = true
	case !IsForbidden(err):
		return p, err
	}
	if err := b.rules(ctx, &p); err != nil {
		return p, err
	}
	if !p.Creates {
		p.Concerns = append(p.Concerns, "the bucket overwrites what must be written once: set up only one repository at a time there")
	}
	if !p.Deletes {
		p.Concerns = append(p.Concerns, "nothing may be deleted: prune frees nothing, and a lease is over only when it runs out; "+b.at.grant("delete")+
			", unless the bucket is meant to be like that")
	}
	return p, nil
}

// returns makes sure that an object comes back as it was written, and is listed.
func (b *Bucket) returns(ctx context.Context, key string, text []byte, p *release.Probe, before, after time.Time) error {
	read, err := b.Get(ctx, key, int64(len(text))+1)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return err
	}
	if !bytes.Equal(read, text) {
		return fault.Hint(fmt.Errorf("%s returns something else than was written to it", b.Place(key)),
			"something between here and the bucket answers in its place: a cache, a proxy, or another server of that name")
	}
	for object, err := range b.Objects(ctx, key) {
		if err != nil {
			return err
		}
		p.Ahead = ahead(object.Written, before, after).Seconds()
		return nil
	}
	return fault.Hint(fmt.Errorf("%s does not list what was written to it just now", b.Place("")),
		"a repository needs a bucket whose listings hold what was written before, as those of S3, Google and Azure do")
}

// ahead is by how much a bucket's clock is ahead of one that went from before to after while the
// bucket wrote. Its time lies between the two; many buckets tell whole seconds.
func ahead(written, before, after time.Time) time.Duration {
	switch {
	case written.Before(before):
		return -before.Sub(written).Truncate(time.Second)
	case written.After(after):
		return written.Sub(after).Truncate(time.Second)
	}
	return 0
}
