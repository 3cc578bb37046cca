// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
)

// A use counts what a waiver did.
type use struct{ findings int }

// waive applies the first waiver that holds. Where only expired ones fit, the finding blocks,
// whatever it would do without them: somebody promised that it would be gone by now.
func (d *decider) waive(j *release.Judgement, s *sighting) {
	var expired *waiver
	for i := range d.policy.waivers {
		w := &d.policy.waivers[i]
		fits, err := w.match(s, &d.purse)
		if err != nil {
			d.doubt(err)
		}
		if !fits {
			continue
		}
		d.uses[i].findings++
		if d.Now.Before(w.expires) {
			j.Verb = release.Waive
			j.Because = fmt.Sprintf("%s: waived by %s until %s: %s", w.at, w.owner, w.lastDay(), w.reason)
			return
		}
		if expired == nil {
			expired = w
		}
	}
	if expired != nil {
		j.Verb = release.Block
		j.Because = fmt.Sprintf("%s: the waiver of %s expired on %s: %s", expired.at, expired.owner, expired.lastDay(), expired.reason)
	}
}

func (w *waiver) lastDay() string { return w.expires.AddDate(0, 0, -1).Format(time.DateOnly) }

// waivers tells what became of each waiver, used or not.
func (d *decider) waivers() []release.WaiverUse {
	var all []release.WaiverUse
	for i := range d.policy.waivers {
		w := &d.policy.waivers[i]
		today := d.Now.UTC().Truncate(24 * time.Hour)
		left := int(w.expires.Sub(today)/(24*time.Hour)) - 1
		all = append(all, release.WaiverUse{
			Waiver: fmt.Sprintf("%s (%s)", &w.criteria, w.at), Owner: w.owner, Findings: d.uses[i].findings,
			DaysLeft: left, Expired: !d.Now.Before(w.expires),
		})
	}
	return all
}
