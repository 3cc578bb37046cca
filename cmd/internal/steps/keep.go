// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/catalog"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// keep stores the entry, hands it on, and returns the work's error joined with its own.
func (s *subject) keep(ctx context.Context, run *Run, entry release.Entry, worked error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	entry, err := s.store.Append(ctx, entry)
	run.Result(entry)
	if err == nil {
		return errors.Join(worked, s.handOn(run, entry))
	}
	run.Tell("The entry of this step could not be stored. This is all of it:\n" + plainJSON(entry))
	switch fault.StatusOf(worked) {
	case fault.GateClosed, fault.Cancelled:
		return errors.Join(worked, err)
	default:
		return fault.Exit(fault.Failed, errors.Join(worked, err))
	}
}

// handOn tells where the entry lies, and its digest, by which it can be signed.
func (s *subject) handOn(run *Run, entry release.Entry) error {
	digest, err := catalog.Digest(entry)
	return errors.Join(err,
		run.Host.Output("record", s.store.Place(entry)),
		run.Host.Output("record-digest", digest))
}

// plainJSON writes a value as JSON of printable ASCII alone, which no terminal obeys.
func plainJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%+q", fmt.Sprint(value))
	}
	var b strings.Builder
	for _, r := range string(data) {
		switch {
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
