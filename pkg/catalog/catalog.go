// SPDX-License-Identifier: Apache-2.0

// Package catalog owns entries and records in a bucket. Each entry is one immutable object
// whose key tells application, environment, time, run, commit and step, so that finding and
// grouping need a listing and no reads:
//
//	v1/<application>/<environment>/<ULID>-<run>-<commit>-<step>.json
//
// Nothing is read, changed and written back: no locks, no lost updates, and every bucket
// serves. Each object holds the SHA-256 of the object before it in its run, which makes a
// removed or altered entry visible (see Verify); it is no signature.
//
// What cannot be read is never passed over in silence: reading returns what is sound
// together with an error for each object that is not.
package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// NoEnvironment is release.NoEnvironment: entries that bear it belong to their run in whichever
// environment it deploys.
const NoEnvironment = release.NoEnvironment

// maxBytes is the size of the largest object that is written or read. A decision about
// 25,000 findings, the most that GitHub takes of one scan, has about 25 MB.
const maxBytes = 64 << 20

// Errors that callers branch on.
var (
	// ErrNotFound means that the catalog holds no such record.
	ErrNotFound = errors.New("no such record")
	// ErrDamaged means that an object is not the entry that its key promises.
	ErrDamaged = errors.New("damaged entry")
	// ErrNewer means that an entry was written by a newer program.
	ErrNewer = errors.New("entry of a newer format")
)

// A Catalog is an open catalog. Its methods may be called at the same time.
type Catalog struct {
	bucket *bucket.Bucket
	now    func() time.Time

	mu   sync.Mutex
	last uint64 // milliseconds of the newest id that was given out
}

// Open opens the catalog at a bucket's URL or in a folder, which is made where it is missing.
func Open(ctx context.Context, url string, now func() time.Time) (*Catalog, error) {
	opened, err := bucket.Open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	return &Catalog{bucket: opened, now: now}, nil
}

// OpenExisting is Open for reading: a folder that does not exist is ErrNotFound, and is not
// made.
func OpenExisting(ctx context.Context, url string, now func() time.Time) (*Catalog, error) {
	opened, err := bucket.OpenExisting(ctx, url)
	switch {
	case bucket.IsNotFound(err):
		return nil, fmt.Errorf("open the catalog: %w: %w", ErrNotFound, err)
	case err != nil:
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	return &Catalog{bucket: opened, now: now}, nil
}

// Close lets go of the bucket. All that was stored is stored by then.
func (c *Catalog) Close() { _ = c.bucket.Close() }

// Probe tells whether the catalog can be listed and written to, so that a step finds out
// before it touches anything. It leaves nothing behind where deleting is allowed.
func (c *Catalog) Probe(ctx context.Context) error {
	if err := c.bucket.Probe(ctx, probePrefix); err != nil {
		return fmt.Errorf("the catalog cannot be written to: %w", err)
	}
	return nil
}

// Place returns where an entry lies, for people: without secrets.
func (c *Catalog) Place(e release.Entry) string { return c.bucket.Place(keyOf(e).String()) }

// Key returns the key of an entry, which says where it lies within any catalog.
func Key(e release.Entry) string { return keyOf(e).String() }

// Append adds an entry and returns it with Format, ID and Previous set, also when it could
// not be stored. The ID sorts after all entries of the run that are in the catalog.
//
// When the entry before it cannot be read, the entry is stored all the same, with an empty
// Previous, and the error says so.
func (c *Catalog) Append(ctx context.Context, e release.Entry) (release.Entry, error) {
	e.Format, e.Previous = release.Format, ""
	if err := errors.Join(Check(e.Subject), checkStep(e.Step)); err != nil {
		return e, err
	}
	before, digest, unchained := c.before(ctx, e.Subject)
	if err := ctx.Err(); err != nil {
		unchained = err
	}
	e.Previous = digest
	id, err := c.newID(before)
	if err != nil {
		return e, err
	}
	e.ID = id.String()
	data, err := bytesOf(e)
	if err != nil {
		return e, err
	}
	if len(data) > maxBytes {
		return e, fmt.Errorf("store the entry of %s: %w: %d bytes, at most %d", e.Step, bucket.ErrTooLarge, len(data), maxBytes)
	}
	if err := c.bucket.Put(ctx, keyOf(e).String(), data, "application/json"); err != nil {
		return e, fmt.Errorf("store the entry of %s: %w", e.Step, err)
	}
	if unchained != nil {
		return e, fmt.Errorf("entry %s is stored without the digest of the one before it: %w", c.Place(e), unchained)
	}
	return e, nil
}

// bytesOf returns an entry as it is stored.
func bytesOf(e release.Entry) ([]byte, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the entry of %s: %w", e.Step, err)
	}
	return append(data, '\n'), nil
}

// Digest returns the digest of the object that Append stored of the entry which it returned, as
// sha256: and hexadecimal digits.
func Digest(e release.Entry) (string, error) {
	data, err := bytesOf(e)
	if err != nil {
		return "", err
	}
	return "sha256:" + digestOf(data), nil
}

// before returns the newest entry's id of the run, and the digest of its bytes.
func (c *Catalog) before(ctx context.Context, s release.Subject) (ulid.ULID, string, error) {
	keys, _, err := c.keys(ctx, Query{App: s.App, Environment: s.Environment, Run: s.Run})
	if len(keys) == 0 {
		return ulid.ULID{}, "", err
	}
	newest := keys[len(keys)-1]
	data, readErr := c.bucket.Get(ctx, newest.String(), maxBytes)
	if readErr != nil {
		return newest.id, "", errors.Join(err, readErr)
	}
	return newest.id, digestOf(data), nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// newID returns an id later than before and than all that this Catalog gave out. Clocks of
// two machines differ; the order of a run's entries must not.
func (c *Catalog) newID(before ulid.ULID) (ulid.ULID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	milliseconds := max(ulid.Timestamp(c.now()), c.last+1, before.Time()+1)
	id, err := ulid.New(milliseconds, rand.Reader)
	if err != nil {
		return id, fmt.Errorf("make an entry's id: %w", err)
	}
	c.last = milliseconds
	return id, nil
}

// NewRun returns a name for a run that nobody named: 15 letters and digits that sort by time,
// short enough to be read whole in a table, and unique but for one chance in 33 million
// between runs of the same millisecond.
func NewRun(now time.Time) string {
	return strings.ToLower(ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()[:10] + rand.Text()[:5])
}

// Check returns an error of usage for each part of a subject that cannot be stored.
func Check(s release.Subject) error {
	var errs []error
	for _, part := range []struct {
		name, value string
		limit       int
	}{{"app", s.App, maxFolder}, {"environment", s.Environment, maxFolder}, {"run", s.Run, maxRun}} {
		if err := checkName(part.value, part.limit); err != nil {
			errs = append(errs, fault.Usagef("%s %.80q: %w", part.name, part.value, err))
		}
	}
	if _, err := release.ParseCommit(string(s.Commit)); err != nil {
		errs = append(errs, fault.Exit(fault.Usage, err))
	}
	return errors.Join(errs...)
}

// Commits returns the commits that entries of a run bear, oldest first. More than one means
// that a run's name was used twice. Names that are not an entry's are passed over: they are
// for those who read a record, and not for those who add to one.
func (c *Catalog) Commits(ctx context.Context, app, run string) ([]release.Commit, error) {
	keys, _, err := c.keys(ctx, Query{App: app, Run: run})
	var commits []release.Commit
	for _, k := range keys {
		if !slices.Contains(commits, k.commit) {
			commits = append(commits, k.commit)
		}
	}
	return commits, err
}
