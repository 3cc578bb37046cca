// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/retrying"
	"github.com/kopia/kopia/repo/content"
	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/step"
)

// ErrEmpty is the error of a place in which no repository has been set up yet.
var ErrEmpty = errors.New("no repository is there")

// ErrPassword is the error of a key that does not open the repository.
var ErrPassword = errors.New("the key does not open the repository")

// Options say which repository is opened, and for whom.
type Options struct {
	// Place is where the repository lies, as package bucket reads it.
	Place    string
	Password step.Hidden
	// App and Environment name the writer; they are no part of a backup's identity.
	App, Environment string
	Now              func() time.Time
	Log              *slog.Logger
	// Setup sets a repository up where there is none.
	Setup bool
	// AllowHTTP lets the repository be reached over a network without TLS.
	AllowHTTP bool
	// Owner names this process to others at work in the repository; "" uses host and process.
	Owner string
	// Lease is how long others take this process for alive without a sign; 0 is DefaultLease.
	Lease time.Duration
	// Links open the one backup that they lead to, in the place of Place.
	Links *Links
	// Lock is asked of the bucket for all that is written; none with a zero time.
	Lock Lock
}

// A Repository is an open repository of backups. Close it.
type Repository struct {
	options Options
	bucket  *bucket.Bucket
	kopia   repo.DirectRepository
	packs   *packs
	locks   *locks
	handle  string

	mu     sync.Mutex
	fatal  error
	probed *release.Probe // nil before the first probe
}

// Open opens the repository. Of a place that holds none it returns ErrEmpty unless Setup asks
// to make one; of a wrong key ErrPassword.
func Open(ctx context.Context, o Options) (*Repository, error) {
	if err := strong(o.Password); err != nil {
		return nil, err
	}
	open := bucket.OpenExisting
	if o.Setup {
		open = bucket.Open
	}
	if o.Links != nil {
		open = func(context.Context, string) (*bucket.Bucket, error) {
			return bucket.OpenLinks("links to "+o.Links.Backup, o.Links.Objects)
		}
	}
	opened, err := open(ctx, o.Place)
	if bucket.IsNotFound(err) {
		return nil, o.empty(err)
	} else if err != nil {
		return nil, err
	}
	r := &Repository{options: o, bucket: opened, handle: rand.Text()}
	if err := r.overheard(); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	if err := r.connect(ctx); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return r, nil
}

func (o Options) empty(err error) error {
	return fault.Hint(fmt.Errorf("open the repository %s: %w: %w", bucket.Redact(o.Place), ErrEmpty, err),
		"the first backup save sets it up; check the place that --repository names")
}

func (r *Repository) connect(ctx context.Context) error {
	base, err := r.reach(ctx)
	if err != nil {
		return err
	}
	there, err := isSetUp(ctx, base)
	if err != nil {
		return err
	}
	if !there {
		if spare, err := spareFor(ctx, r.bucket); err != nil || spare != nil {
			return errors.Join(err, r.diagnosed(ctx, fmt.Errorf("%s holds no kopia.repository any more", r.Place())))
		}
	}
	if !there && !r.options.Setup {
		return r.options.empty(fmt.Errorf("%s holds no kopia.repository", r.Place()))
	}
	if !there {
		if err := setUp(ctx, base, r.options); err != nil {
			return err
		}
	}
	if err = r.openKopia(ctx); err != nil && ctx.Err() == nil {
		err = r.diagnosed(ctx, err)
	}
	switch {
	case errors.Is(err, repo.ErrInvalidPassword):
		return r.wrongKey()
	case err != nil:
		return fmt.Errorf("open the repository %s: %w", r.Place(), err)
	}
	return nil
}

func (r *Repository) wrongKey() error {
	return fault.Hint(fault.Exit(fault.Usage, fmt.Errorf("open the repository %s: %w", r.Place(), ErrPassword)),
		"give the key with which the repository was set up, or the one that key rotate made; nothing opens it without its key")
}

// reach makes ready what kopia and this package write through.
func (r *Repository) reach(ctx context.Context) (*storage, error) {
	r.locks = &locks{bucket: r.bucket, wanted: r.options.Lock, now: r.options.Now}
	if err := r.locks.ready(ctx); err != nil {
		return nil, err
	}
	base := &storage{bucket: r.bucket, handle: r.handle, locks: r.locks}
	r.packs = &packs{Storage: retrying.NewWrapper(base), list: r.objects, locks: r.locks}
	return base, nil
}

// openKopia hands kopia the file by which alone it opens a repository. The file lives in
// memory, holds no secret, and is read once.
func (r *Repository) openKopia(ctx context.Context) error {
	config, err := json.Marshal(repo.LocalConfig{
		Storage: &blob.ConnectionInfo{Type: storageType, Config: &connection{Handle: r.handle}},
		Caching: &content.CachingOptions{},
		ClientOptions: repo.ClientOptions{
			Hostname: r.options.Environment, Username: r.options.App, Description: "knowngood",
			FormatBlobCacheDuration: -1,
		},
	})
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("kopia.config", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a file in memory: %w", err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, config); err != nil {
		return fmt.Errorf("write a file in memory: %w", err)
	}
	storages().put(r.handle, r.packs)
	defer storages().take(r.handle)
	opened, err := repo.Open(ctx, fmt.Sprintf("/proc/self/fd/%d", fd), r.options.Password.Reveal(), &repo.Options{
		TimeNowFunc:          r.options.Now,
		DisableRepositoryLog: true,
		DoNotWaitForUpgrade:  true,
		OnFatalError:         r.fail,
	})
	if err != nil {
		return err
	}
	direct, ok := opened.(repo.DirectRepository)
	if !ok {
		return errors.Join(errors.New("kopia opened a repository that is not in a bucket"), opened.Close(ctx))
	}
	r.kopia = direct
	return nil
}

// fail keeps what kopia would end the process for.
func (r *Repository) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fatal = errors.Join(r.fatal, err)
}

// failed returns what kopia would have ended the process for.
func (r *Repository) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fatal
}

// Place returns where the repository lies, without secrets.
func (r *Repository) Place() string { return r.bucket.Place("") }

// Address is how the repository is given to another command, without secrets, "" where Place is.
func (r *Repository) Address() string { return r.bucket.Address() }

// Close closes the repository. What was not saved before is lost.
func (r *Repository) Close(ctx context.Context) error {
	return errors.Join(r.kopia.Close(ctx), r.bucket.Close())
}

// storageType is under which kopia knows our storages.
const storageType = "knowngood"

// A connection is what kopia's configuration says of a storage.
type connection struct {
	Handle string `json:"handle"`
}

// An open set holds the storages that kopia may ask for by handle.
type openSet struct {
	mu sync.Mutex
	of map[string]blob.Storage
}

func (s *openSet) put(handle string, st blob.Storage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[handle] = st
}

func (s *openSet) take(handle string) blob.Storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.of[handle]
	delete(s.of, handle)
	return st
}

// storages returns the set, known to kopia. kopia opens a repository by a file alone and
// finds the storage by a type in a map of its own, which is not safe to write twice.
var storages = sync.OnceValue(func() *openSet { //nolint:gochecknoglobals // kopia's own map of storages is global
	set := &openSet{of: map[string]blob.Storage{}}
	blob.AddSupportedStorage(storageType, connection{}, func(_ context.Context, c *connection, _ bool) (blob.Storage, error) {
		if st := set.take(c.Handle); st != nil {
			return st, nil
		}
		return nil, errors.New("a storage that is not open")
	})
	return set
})
