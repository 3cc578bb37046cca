// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
)

func TestTogether(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		ctx  context.Context
		good bool
		errs []error
		want fault.Status
	}{
		"nothing":         {t.Context(), false, nil, fault.Done},
		"all good":        {t.Context(), true, []error{nil, nil}, fault.Done},
		"all good at end": {cancelled, true, []error{nil}, fault.Done},
		"some":            {t.Context(), true, []error{nil, broken}, fault.Partial},
		"none":            {t.Context(), false, []error{broken, broken}, fault.Failed},
		"cancelled":       {cancelled, true, []error{nil, broken}, fault.Cancelled},
	} {
		if err := fault.Together(test.ctx, test.good, test.errs); fault.StatusOf(err) != test.want {
			t.Errorf("%s: %v of status %d, want %d", name, err, fault.StatusOf(err), test.want)
		}
	}
}
