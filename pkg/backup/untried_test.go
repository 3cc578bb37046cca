// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/knowngood/knowngood/pkg/backup"
)

// What hinders a verification says nothing of the backup: it is neither proved nor refuted.
func TestAVerificationThatFindsNothingOut(t *testing.T) {
	t.Parallel()
	r := open(t, options(t, t.TempDir()))
	folder := t.TempDir()
	some(t, folder, 3, 300)
	made := save(t, r, folder)
	for name, test := range map[string]func(cancel context.CancelFunc, p *backup.Proof){
		"cancelled": func(cancel context.CancelFunc, p *backup.Proof) {
			p.Check = func(ctx context.Context, _ string) error { cancel(); return ctx.Err() }
		},
		"cancelled at its end": func(cancel context.CancelFunc, p *backup.Proof) {
			p.Check = func(context.Context, string) error { cancel(); return nil }
		},
		"no scratch folder": func(_ context.CancelFunc, p *backup.Proof) { p.Scratch = filepath.Join(p.Scratch, "none", "none") },
		"no check": func(_ context.CancelFunc, p *backup.Proof) {
			p.Check = func(context.Context, string) error { return fmt.Errorf("%w: no such program", backup.ErrNoCheck) }
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		p := backup.Proof{ID: made.ID, Scratch: t.TempDir()}
		test(cancel, &p)
		v, err := r.Verify(ctx, p)
		cancel()
		if !errors.Is(err, backup.ErrUntried) || v.Proved {
			t.Errorf("%s: proved %v, error %v", name, v.Proved, err)
		}
		if found, err := r.Find(t.Context(), backup.Query{ID: made.ID}); err != nil || found.Verified != nil {
			t.Errorf("%s: the repository keeps %+v, error %v", name, found.Verified, err)
		}
	}
	_, err := r.Verify(t.Context(), backup.Proof{ID: made.ID, Scratch: t.TempDir(), Check: func(context.Context, string) error { return errors.New("bad data") }})
	if errors.Is(err, backup.ErrUntried) || err == nil {
		t.Errorf("a check that does not like the data: error %v", err)
	}
	if found, err := r.Find(t.Context(), backup.Query{ID: made.ID}); err != nil || found.Verified == nil || found.Verified.CheckError != "bad data" {
		t.Errorf("the repository keeps %+v, error %v", found.Verified, err)
	}
}
