// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

// shownFiles is how many changed files are named.
const shownFiles = 5

// checkout returns what was most amiss with the files in which the steps ran, or nil: more
// changed files weigh more, and what is not known weighs as much as one.
func (s story) checkout() *release.Checkout {
	var worst *release.Checkout
	for _, e := range s.record.Entries {
		if c := e.Checkout; c != nil && !c.Clean() && (worst == nil || c.Changed > worst.Changed) {
			worst = c
		}
	}
	return worst
}

// checkoutWords says it; shown writes one hostile text.
func (s story) checkoutWords(shown func(text string) string) string {
	c := s.checkout()
	switch {
	case c == nil:
		return ""
	case c.Changed == 0:
		return "Whether the files were those of the commit is not known: " + shown(oneLine(c.Unknown)) + "."
	}
	var names []string
	for _, file := range c.Files[:min(len(c.Files), shownFiles)] {
		names = append(names, shown(file))
	}
	if more := c.Changed - len(names); more > 0 {
		names = append(names, thousands(more)+" more")
	}
	was := "was"
	if c.Changed > 1 {
		was = "were"
	}
	return fmt.Sprintf("The files were not those of the commit alone: %s %s changed (%s).",
		count(c.Changed, "file"), was, strings.Join(names, ", "))
}
