// SPDX-License-Identifier: Apache-2.0

package report

// configWords says that the pull request changes the configuration, whose base counted; ""
// where it does not. shown writes one hostile text.
func (s story) configWords(shown func(text string) string) string {
	for _, e := range s.record.Entries {
		c := e.Config
		if c == nil || !c.Pending {
			continue
		}
		words := "The configuration " + shown(c.File) + " is not the base's: what differs is effective after the merge"
		if c.Base == "" {
			return words + "."
		}
		return words + ", and the base " + shown(c.Base.Short()) + " counted."
	}
	return ""
}
