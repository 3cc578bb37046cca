// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for _, test := range []struct {
		name string
		err  error
		want fault.Status
	}{
		{"nil", nil, fault.Done},
		{"plain", plain, fault.Failed},
		{"given", fault.Exit(fault.GateClosed, plain), fault.GateClosed},
		{"wrapped", fmt.Errorf("gate: %w", fault.Usagef("no such file")), fault.Usage},
		{"cancelled", fmt.Errorf("wait: %w", context.Canceled), fault.Cancelled},
		{"deadline is a failure", fmt.Errorf("wait: %w", context.DeadlineExceeded), fault.Failed},
		{"outermost wins", fault.Exit(fault.Partial, fault.Exit(fault.Usage, plain)), fault.Partial},
		{"joined", errors.Join(plain, fault.Exit(fault.Partial, plain)), fault.Partial},
		{"exit of nil", fault.Exit(fault.Failed, nil), fault.Done},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.StatusOf(test.err); got != test.want {
				t.Errorf("StatusOf(%v) = %d, want %d", test.err, got, test.want)
			}
		})
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	inner := fault.Hint(errors.New("forbidden"), "grant %s", "create")
	err := fault.Hint(fmt.Errorf("snapshot: %w", errors.Join(inner, inner, errors.New("other"))), "see the README")
	if diff := cmp.Diff([]string{"see the README", "grant create"}, fault.Hints(err)); diff != "" {
		t.Errorf("Hints (-want +got):\n%s", diff)
	}
	if got := err.Error(); got != "snapshot: forbidden\nforbidden\nother" {
		t.Errorf("a hint changed the text: %q", got)
	}
	if fault.Hint(nil, "x") != nil || fault.Hints(nil) != nil {
		t.Error("no error has a hint")
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"timeout", "severity", "score", "mode"}
	for word, want := range map[string]string{
		"tiemout": "timeout", "sevrity": "severity", "timeouts": "timeout", "colour": "", "mod": "mode", "": "",
	} {
		if got := fault.Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
