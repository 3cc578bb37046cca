// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/kopia/kopia/repo/blob"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/retain"
)

func lockOptions(t *testing.T, place string) Options {
	t.Helper()
	return Options{
		Place: place, Password: "a key that only the tests know", App: "shop", Environment: "none", Now: time.Now,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Setup: true, AllowHTTP: true, Lock: Lock{For: time.Hour},
	}
}

func TestLocksOnMinIO(t *testing.T) { locksHold(t, onMinIO(t, t.TempDir())) }

func TestLocksOnVersityGW(t *testing.T) {
	locksHold(t, onVersityGW(t, t.TempDir(), "--versioning-dir", t.TempDir()))
}

// locksHold makes a bucket with object lock on a server, and proves that a locked backup is not
// pruned, that nothing of it can be deleted, and that a prune lengthens its locks.
func locksHold(t *testing.T, address string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	place := "s3://locked/team?region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape("http://"+address)
	opened, err := bucket.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	var client *s3.Client
	name, locked := "locked", true
	if !opened.As(&client) {
		t.Fatal("no client")
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &locked}); err != nil {
		t.Fatal(err)
	}
	o := lockOptions(t, place)
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "a"), []byte(strings.Repeat("content ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	var made []string
	for range 2 {
		b, err := r.Save(t.Context(), Request{Folder: source, Label: Label{App: "shop", Environment: "none", Volume: "data"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), Proof{ID: b.ID, Scratch: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		made = append(made, b.ID)
	}
	allLocked(t, r, client, "team/", time.Now().Add(50*time.Minute))
	copiesAreLocked(t, r, client, strings.Replace(place, "/team?", "/renewed?", 1))
	plan, err := r.Plan(t.Context(), Pruning{Rules: retain.Rules{Last: 1}})
	if err != nil || len(plan.Gone()) != 0 {
		t.Fatalf("%v: the plan gives locked backups up: %+v", err, plan.Gone())
	}
	for _, f := range plan.Fates {
		if f.ID == made[0] && !strings.Contains(f.Why, "locked until") {
			t.Errorf("%+v", f)
		}
	}
	o.Lock.For = 5 * time.Hour
	again, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	did, err := again.Prune(t.Context(), Pruning{Rules: retain.Rules{Last: 1}})
	if err != nil || did.Upkeep.Prolonged == 0 {
		t.Fatalf("%v: %+v", err, did.Upkeep)
	}
	allLocked(t, again, client, "team/", time.Now().Add(4*time.Hour))
}

// copiesAreLocked proves that copies of locked backups are locked until the same time though
// nobody asked for it, and that a
// place without locks is told.
func copiesAreLocked(t *testing.T, r *Repository, client *s3.Client, place string) {
	t.Helper()
	o := lockOptions(t, place)
	o.Password, o.Lock = "another key that only the tests know", Lock{}
	to, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close(t.Context())
	locked, err := r.lockedUntil(t.Context())
	if err != nil || len(locked) != 2 {
		t.Fatal(locked, err)
	}
	did, err := r.CopyTo(t.Context(), to)
	if err != nil || did.Backups != 2 || did.Unlocked != 0 {
		t.Fatalf("%+v, %v", did, err)
	}
	allLocked(t, to, client, "renewed/", time.Now().Add(50*time.Minute))
	copies, err := to.lockedUntil(t.Context())
	for _, one := range did.Copies {
		if !copies[one.ID].Equal(locked[one.CopyOf]) {
			t.Errorf("%s is locked until %v, its copy until %v", one.CopyOf, locked[one.CopyOf], copies[one.ID])
		}
	}
	if did, again := r.CopyTo(t.Context(), to); errors.Join(err, again) != nil || did.Before != 2 || did.Resent != 0 {
		t.Errorf("%+v, %v, %v", did, err, again)
	}
	o = lockOptions(t, t.TempDir())
	o.Password, o.Lock = "another key that only the tests know", Lock{}
	plain, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close(t.Context())
	if did, err := r.CopyTo(t.Context(), plain); err != nil || did.Backups != 2 || did.Unlocked != 2 {
		t.Errorf("%+v, %v", did, err)
	}
}

// allLocked proves that each pack is locked until a time, that our own deletion spares it, and
// that the server refuses to delete the version that is locked.
func allLocked(t *testing.T, r *Repository, client *s3.Client, prefix string, until time.Time) {
	t.Helper()
	objects, err := r.objects(t.Context(), "p")
	if err != nil || len(objects) == 0 {
		t.Fatal(err, "no packs")
	}
	for _, object := range objects {
		name, key := "locked", prefix+object.Key
		lock, err := r.bucket.Locked(t.Context(), object.Key)
		if err != nil || lock.Until.Before(until) {
			t.Errorf("%s: %v, locked until %v", object.Key, err, lock.Until)
		}
		if err := r.packs.DeleteBlob(t.Context(), blob.ID(object.Key)); err != nil {
			t.Error(err)
		}
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &name, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: &key, VersionId: head.VersionId}); err == nil {
			t.Errorf("%s: the server deletes a locked version", object.Key)
		}
	}
	if spared := r.locks.forget(); spared.packs != int64(len(objects)) || spared.bytes == 0 || spared.until.Before(until) {
		t.Errorf("%d objects are locked, and %+v were spared", len(objects), spared)
	}
	if err := r.packs.DeleteBlob(t.Context(), "pabsent"); err != nil {
		t.Error(err)
	}
}

// A bucket that keeps no locks is told before anything is written.
func TestABucketWithoutLocks(t *testing.T) {
	t.Parallel()
	store := s3mem.New()
	if err := store.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	writes := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("object-lock"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>`))
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			writes++
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	for _, place := range []string{
		t.TempDir(),
		"s3://backups/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint=" + url.QueryEscape(server.URL),
	} {
		_, err := Open(t.Context(), lockOptions(t, place))
		if !errors.Is(err, bucket.ErrNoLocks) || fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: %v", place, err)
		}
	}
	if writes != 0 {
		t.Errorf("%d writes", writes)
	}
}
