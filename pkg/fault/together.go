// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
)

// Together joins the errors of work that ran side by side and gives them the status that they
// mean together: Cancelled where ctx was cancelled, Partial where some of the work is good, else
// Failed. Without an error it is nil.
func Together(ctx context.Context, good bool, errs []error) error {
	err := errors.Join(errs...)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return Exit(Cancelled, err)
	case good:
		return Exit(Partial, err)
	}
	return Exit(Failed, err)
}
