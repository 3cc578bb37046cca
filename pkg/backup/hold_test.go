// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A second hold stands beside the first, and each ends by its reason.
func TestHoldsAddUp(t *testing.T) {
	t.Parallel()
	r, folder := open(t, options(t, t.TempDir())), t.TempDir()
	some(t, folder, 3, 300)
	made := save(t, r, folder)
	for _, reason := range []string{"the audit", "the law", "the audit"} {
		if _, err := r.Hold(t.Context(), made.ID, reason); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []struct{ reason, left string }{{"nobody's", "the audit; the law"}, {"the audit", "the law"}, {"", ""}} {
		left, err := r.Unhold(t.Context(), made.ID, end.reason)
		if err != nil || (left == nil) != (end.left == "") || left != nil && left.Reason != end.left {
			t.Errorf("after %q it is held by %+v, want %q; error %v", end.reason, left, end.left, err)
		}
	}
}

// A hold does not say that a backup is kept while a prune may be giving it up.
func TestAHoldWaitsForAPruneThatGivesUp(t *testing.T) {
	t.Parallel()
	place, folder := t.TempDir(), t.TempDir()
	some(t, folder, 3, 300)
	r := open(t, options(t, place))
	made := save(t, r, folder)
	lease := filepath.Join(place, "knowngood", "use", "other")
	check(os.MkdirAll(filepath.Dir(lease), 0o700))
	check(os.WriteFile(lease, []byte(`{"work": "prune", "owner": "another", "lasts_seconds": 60}`), 0o600))
	if _, err := r.Hold(t.Context(), made.ID, "it only plans"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	check(os.WriteFile(lease, []byte(`{"work": "prune", "owner": "another", "gives_up": true, "lasts_seconds": 3}`), 0o600))
	if _, err := r.Hold(t.Context(), made.ID, "it gives up"); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited < 2*time.Second {
		t.Errorf("it waited for %s while the prune was giving up", waited)
	}
}
