// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/fault"
)

// A full disk under the repository is told once and with a cure, and any other as it is.
func TestAFullRepositoryIsToldInASentence(t *testing.T) {
	t.Parallel()
	r := &Repository{options: Options{Log: slog.New(slog.DiscardHandler)}}
	long := strings.Repeat("error writing pack: ", 40)
	for _, room := range []error{unix.ENOSPC, unix.EDQUOT} {
		err := r.full(errors.Join(fmt.Errorf("%s%w", long, translate(room)), fmt.Errorf("%s%w", long, translate(room))))
		if len(err.Error()) > 100 || !errors.Is(err, room) || len(fault.Hints(err)) != 1 {
			t.Errorf("told as %v, hints %q", err, fault.Hints(err))
		}
		if other := fmt.Errorf("write the cache: %w", room); !errors.Is(r.full(other), other) {
			t.Errorf("another disk is told as %v", r.full(other))
		}
	}
}
