// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/knowngood/knowngood/pkg/bucket"
)

// ErrLease is the error of work whose lease ran out before it was done: others no longer know
// that it is at work.
var ErrLease = errors.New("the lease on the repository ran out")

// DefaultLease is how long a lease lasts unless it is renewed.
const DefaultLease = 5 * time.Minute

// usePrefix is where the leases lie: one object for each process that is at work.
const usePrefix = ownPrefix + "use/"

// Kinds of work.
const (
	useSave    = "save"
	useRestore = "restore"
	useVerify  = "verify"
	usePrune   = "prune"
	useHold    = "hold"
	useCopy    = "copy"
	useRepair  = "repair"
)

// A Use says who is at work in a repository. It is the content of a lease.
//
// Each process has an object of its own, so no driver has to compare and set: whoever wants to
// be alone writes its object first, then looks, and withdraws when another is there. Of two
// that come at once at least one sees the other. All it takes is that a bucket lists what was
// written before, as all of them do. Leases run out by the clock of the bucket.
type Use struct {
	Work string `json:"work"`
	// Backup is the id of the backup that is read, "" for other work.
	Backup string `json:"backup,omitempty"`
	// GivesUp is true while a prune looks for the last time who holds or reads what it gives up, and
	// gives it up.
	GivesUp bool      `json:"gives_up,omitempty"`
	Owner   string    `json:"owner"`
	Since   time.Time `json:"since"`
	Lasts   float64   `json:"lasts_seconds"`
	// Left is how long the lease still lasts.
	Left time.Duration `json:"-"`
	key  string
}

// String tells who is at work, as a person would.
func (u Use) String() string {
	return fmt.Sprintf("%.40q by %.100q since %s", u.Work, u.Owner, u.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// largestUse is how many bytes a lease has at most, and longestUse how long it may last.
const (
	largestUse = 16 << 10
	longestUse = time.Hour
)

// usesAt returns the leases but one that last at a time of the bucket. Those that ran out long
// ago are taken away by whoever has one.
func (r *Repository) usesAt(ctx context.Context, own string, now time.Time) ([]Use, error) {
	objects, err := r.objects(ctx, usePrefix)
	if err != nil {
		return nil, fmt.Errorf("look for others at work in %s: %w", r.Place(), err)
	}
	var found []Use
	for _, object := range objects {
		if object.Key == own {
			continue
		}
		u, err := r.readUse(ctx, object.Key)
		if bucket.IsNotFound(err) {
			continue // it ended meanwhile
		} else if err != nil {
			return nil, err
		}
		u.Left = object.Written.Add(time.Duration(u.Lasts * float64(time.Second))).Sub(now)
		if u.Left > 0 {
			found = append(found, u)
		} else if u.Left < -longestUse && own != "" {
			if err := r.bucket.Remove(ctx, object.Key); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// readUse reads a lease. One that cannot be understood is somebody's all the same.
func (r *Repository) readUse(ctx context.Context, key string) (Use, error) {
	data, err := r.bucket.Get(ctx, key, largestUse)
	if bucket.IsNotFound(err) {
		return Use{}, err
	}
	u := Use{Work: "unknown work", Owner: "unknown", Lasts: DefaultLease.Seconds()}
	if err == nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil && !errors.Is(err, bucket.ErrTooLarge) && !isJSON(err) {
		return Use{}, fmt.Errorf("read a lease in %s: %w", r.Place(), err)
	}
	u.Lasts = min(max(u.Lasts, 1), longestUse.Seconds())
	u.key = key
	return u, nil
}

// isJSON tells errors of what was read from errors of reading.
func isJSON(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind) || strings.Contains(err.Error(), "parsing time")
}

// rivalOf returns one that does the same work, or of prune and repair the other: the one takes away
// what the other may be about to find.
func rivalOf(uses []Use, work string) *Use {
	switch work {
	case usePrune:
		return cmp.Or(firstOf(uses, usePrune), firstOf(uses, useRepair))
	case useRepair:
		return cmp.Or(firstOf(uses, useRepair), firstOf(uses, usePrune))
	}
	return firstOf(uses, work)
}

func firstOf(uses []Use, work string) *Use {
	for i := range uses {
		if uses[i].Work == work {
			return &uses[i]
		}
	}
	return nil
}
