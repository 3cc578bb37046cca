// SPDX-License-Identifier: Apache-2.0

package kube

import "strings"

// OneLine makes text of the cluster fit for a log line or an error: one line, no control
// characters, and not longer than a person reads.
func OneLine(text string) string {
	const limit = 400
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == 0x85 }), " ")
	text = strings.ToValidUTF8(text, "?")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// Waiting counts the time until stop is called as waited; for waits that no watch can serve.
func (c *Cluster) Waiting() (stop func()) { return c.waited.start(c.Now) }
