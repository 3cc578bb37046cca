// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine makes text of the cluster fit for a log line or an error: one line of what can be seen,
// not longer than a person reads. Control characters part words, those of the second set too,
// which some terminals obey; marks that turn the direction of a line are replaced.
func OneLine(text string) string {
	const limit = 400
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(words, " "))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// Waiting counts the time until stop is called as waited; for waits that no watch can serve.
func (c *Cluster) Waiting() (stop func()) { return c.waited.start(c.Now) }
