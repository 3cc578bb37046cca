// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"time"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// lockDay is what lock-days counts.
const lockDay = 24 * time.Hour

// locking holds the inputs that say how long the bucket keeps what is written from being deleted.
type locking struct {
	days   int
	strict bool
}

func (l *locking) declare(set *step.Set) {
	set.Int(&l.days, "lock-days", 0,
		"For how many days nobody may delete what is written, in an S3 bucket that was made with object lock; a prune makes the locks last. 0 locks nothing.")
	set.Bool(&l.strict, "lock-strict", false,
		"Let nobody lift the locks before their time, not even who may override them: compliance mode, else governance.")
}

func (l *locking) lock() (backup.Lock, error) {
	switch {
	case l.days < 0:
		return backup.Lock{}, fault.Usagef("lock-days %d: want 0 or above", l.days)
	case l.strict && l.days == 0:
		return backup.Lock{}, fault.Hint(fault.Usagef("lock-strict without lock-days locks nothing"), "give --lock-days")
	}
	return backup.Lock{For: time.Duration(l.days) * lockDay, Strict: l.strict}, nil
}
