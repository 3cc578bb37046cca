// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// limit holds the input that ends a restore or a verify which would go on for ever.
type limit struct{ timeout time.Duration }

func (l *limit) declare(set *step.Set) {
	set.Duration(&l.timeout, "timeout", 0, "How long it may take; 0 allows two hours, and a second more for every 4 MiB of the backup.")
}

// of is the limit for a backup of so many bytes.
func (l *limit) of(bytes int64) time.Duration {
	const spare, slowest = 2 * time.Hour, 4 << 20
	if l.timeout > 0 {
		return l.timeout
	}
	return spare + time.Duration(max(bytes, 0)/slowest)*time.Second
}

// within does work on a backup of so many bytes and ends it at the limit.
func (l *limit) within(ctx context.Context, bytes int64, work func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, l.of(bytes))
	defer cancel()
	err := work(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return fault.Hint(fmt.Errorf("it is not done after %s: %w", l.of(bytes), err), "give a longer --timeout")
	}
	return err
}
