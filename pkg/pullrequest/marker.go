// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"net/url"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

const (
	markerOpen  = "<!-- knowngood "
	markerClose = " -->"
	// markerField is how much of one name a marker holds, in bytes.
	markerField = 200
)

// A Marker is the first line of a comment, hidden when it is shown: which application and
// environment the comment is about, and which state of which run it tells.
type Marker struct {
	App, Environment string
	Commit, Run      string
	// First and Last are the ids of the run's first and newest entry. Both are ULIDs, so that
	// a later one is greater.
	First, Last string
	// Trust is "" for what a trusted run says. What another run says has a comment of its own,
	// so that it replaces nothing, and cannot claim to be newer.
	Trust string
}

// String returns the marker as a HTML comment that no value can end.
func (m Marker) String() string {
	values := url.Values{}
	for name, value := range m.fields() {
		if len(*value) > markerField {
			values.Set(name, (*value)[:markerField])
			continue
		}
		if *value != "" {
			values.Set(name, *value)
		}
	}
	return markerOpen + strings.ReplaceAll(values.Encode(), "--", "%2D%2D") + markerClose
}

func (m *Marker) fields() map[string]*string {
	return map[string]*string{
		"app": &m.App, "environment": &m.Environment, "commit": &m.Commit, "run": &m.Run, "first": &m.First, "last": &m.Last,
		"trust": &m.Trust,
	}
}

// markerOf reads the marker that a comment begins with. A marker further down is a quotation.
func markerOf(body string) (Marker, bool) {
	rest, ok := strings.CutPrefix(body, markerOpen)
	if !ok {
		return Marker{}, false
	}
	encoded, _, ok := strings.Cut(rest, markerClose)
	if !ok {
		return Marker{}, false
	}
	values, err := url.ParseQuery(encoded)
	if err != nil || !values.Has("app") || !values.Has("environment") {
		return Marker{}, false
	}
	var m Marker
	for name, value := range m.fields() {
		*value = values.Get(name)
	}
	return m, true
}

// about tells whether two markers are about the same application and environment. What a run
// said before it knew its environment is about that environment, too. The markers are compared
// as they are written, where long names are cut.
func (m Marker) about(other Marker) bool {
	m, _ = markerOf(m.String())
	other, _ = markerOf(other.String())
	unplaced := m.Run == other.Run && (m.Environment == release.NoEnvironment || other.Environment == release.NoEnvironment)
	return m.App == other.App && m.Trust == other.Trust && (m.Environment == other.Environment || unplaced)
}

// newer tells whether m tells a later state than other: of a run that began later, or more of
// the same run.
func (m Marker) newer(other Marker) bool {
	if m.First != other.First {
		return m.First > other.First
	}
	return m.Last > other.Last
}
