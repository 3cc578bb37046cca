// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/knowngood/knowngood/pkg/release"
)

// An invocation is what a tool says of one of its runs.
type invocation struct {
	successful, said bool
	signal           string
	startFailure     string
	ended            time.Time
	overrides        []override // of rules
	notices          []override // of notifications
	notifications    []notification
}

// An override is the configuration of a rule, or of a notification, that held during the
// invocation.
type override struct {
	descriptor reference
	setting    rule
}

// A settingKey is a rule, or a notification, in one invocation.
type settingKey struct {
	invocation int
	rule       *rule
}

// A notification is a message of the tool about itself.
type notification struct {
	level      string
	descriptor reference
	message    message
}

func (r *run) readInvocation(int) error {
	if r.dec.PeekKind() != jsontext.KindBeginObject {
		return r.wrong("an object")
	}
	var i invocation
	err := r.object(strict, func(name []byte) error { return r.invocationMember(&i, name) })
	r.invocations = append(r.invocations, i)
	return cmp.Or(err, r.charge(overhead))
}

func (r *run) invocationMember(i *invocation, name []byte) (err error) {
	switch string(name) {
	case "executionSuccessful":
		i.successful, i.said, err = r.truth()
		return err
	case "exitSignalName":
		return r.keep(&i.signal)
	case "processStartFailureMessage":
		return r.keep(&i.startFailure)
	case "endTimeUtc":
		text, err := r.text()
		if at, wrong := time.Parse(time.RFC3339, text); wrong == nil {
			i.ended = at.UTC()
		}
		return err
	case "ruleConfigurationOverrides":
		return r.array(strict, func(int) error { return r.readOverride(&i.overrides) })
	case "notificationConfigurationOverrides":
		return r.array(strict, func(int) error { return r.readOverride(&i.notices) })
	case "toolExecutionNotifications", "toolConfigurationNotifications":
		return r.array(strict, func(int) error { return r.readNotification(&i.notifications) })
	default:
		return r.skip()
	}
}

func (r *run) readOverride(into *[]override) error {
	o := override{descriptor: reference{index: -1}, setting: rule{rank: -1}}
	err := r.object(strict, func(name []byte) error {
		switch string(name) {
		case "descriptor":
			return r.readReference(&o.descriptor)
		case "configuration":
			return r.readConfiguration(&o.setting)
		default:
			return r.skip()
		}
	})
	*into = append(*into, o)
	return cmp.Or(err, r.charge(ruleOverhead))
}

func (r *run) readNotification(into *[]notification) error {
	n := notification{descriptor: reference{index: -1}}
	err := r.object(strict, func(name []byte) error {
		switch string(name) {
		case "level":
			return r.keepLevel(&n.level)
		case "descriptor":
			return r.readReference(&n.descriptor)
		case "message":
			return r.readMessage(&n.message)
		default:
			return r.skip()
		}
	})
	*into = append(*into, n)
	return cmp.Or(err, r.charge(overhead))
}

// configure looks up what the invocations configured.
func (r *run) configure() {
	r.settings, r.switches = map[settingKey]setting{}, map[*rule]switches{}
	set := func(i int, m match, o override) {
		if m.rule != nil && !m.guessed {
			r.settings[settingKey{i, m.rule}] = setting{o.setting.level, o.setting.rank, o.setting.off, o.setting.enabled}
		}
	}
	for i := range r.invocations {
		for _, o := range r.invocations[i].overrides {
			set(i, r.lookup(o.descriptor), o)
		}
		for _, o := range r.invocations[i].notices {
			set(i, r.notice(o.descriptor), o)
		}
	}
	for key, s := range r.settings {
		count := r.switches[key.rule]
		if s.off {
			count.off++
		}
		if s.enabled {
			count.on++
		}
		r.switches[key.rule] = count
	}
}

// A setting is what an invocation said of a rule.
type setting struct {
	level        string
	rank         float64
	off, enabled bool
}

// setting returns what an invocation said of a rule.
func (r *run) setting(invocation int, d *rule) setting {
	if s, said := r.settings[settingKey{invocation, d}]; said {
		return s
	}
	return setting{rank: -1}
}

// switches count the invocations that switched a rule on and off.
type switches struct{ on, off int }

// ran tells whether any invocation ran with the rule.
func (r *run) ran(d *rule) bool {
	s := r.switches[d]
	if d.off {
		return s.on > 0
	}
	return s.off < max(len(r.invocations), 1)
}

// maxNotifications is how many of a scan's errors are told in words; the rest is counted.
const maxNotifications = 3

// completeness says how far the scan got, and notes why it is not complete.
func (r *run) completeness() release.Completeness {
	if !r.hasResults {
		if !slices.ContainsFunc(r.externals, func(e external) bool { return e.part == "results" }) {
			r.notes.blame("results is absent or null: the tool has not produced any, which is not the same as an empty list")
		}
	}
	state := release.ScanComplete
	if len(r.invocations) == 0 {
		r.notes.blame("the tool says nothing of how its run ended (no invocations)")
		state = release.ScanUnknown
	}
	for i := range r.invocations {
		switch r.ended(i) { //nolint:exhaustive // a run has ended well, badly, or without a word
		case release.ScanIncomplete:
			state = release.ScanIncomplete
		case release.ScanUnknown:
			if state == release.ScanComplete {
				state = release.ScanUnknown
			}
		}
	}
	switch {
	case !r.hasResults:
		return release.ScanAbsent
	case r.lacking:
		return release.ScanIncomplete
	}
	return state
}

// ended says how one invocation ended, and notes what it reports.
func (r *run) ended(at int) release.Completeness {
	i, state := &r.invocations[at], release.ScanComplete
	switch {
	case !i.said:
		r.notes.blame("the tool does not say whether its run succeeded (executionSuccessful is absent)")
		state = release.ScanUnknown
	case !i.successful:
		r.notes.blame("the tool says that its run failed (executionSuccessful is false)")
		state = release.ScanIncomplete
	}
	if i.signal != "" {
		r.notes.blame("the tool was ended by signal " + clean(i.signal, 60))
		state = release.ScanIncomplete
	}
	if i.startFailure != "" {
		r.notes.blame("the tool did not start: " + clean(i.startFailure, 200))
		state = release.ScanIncomplete
	}
	errors := 0
	for k := range i.notifications {
		n := &i.notifications[k]
		m := r.notice(n.descriptor)
		if r.notificationLevel(at, n, m.rule) != release.LevelError {
			continue
		}
		if errors++; errors <= maxNotifications {
			r.notes.blame("the tool reports an error: " + clean(n.say(m), 200))
		}
	}
	if errors > maxNotifications {
		r.notes.blame(fmt.Sprintf("the tool reports %d errors in all", errors))
	}
	if errors > 0 {
		state = release.ScanIncomplete
	}
	return state
}

// notificationLevel follows the chain of §3.58.6: its own, what the invocation configured, the
// descriptor's, warning. A word that is no level is taken for an error.
func (r *run) notificationLevel(invocation int, n *notification, d *rule) release.Level {
	written := []string{n.level}
	if d != nil {
		written = append(written, r.setting(invocation, d).level, d.level)
	}
	for _, word := range written {
		switch level, odd := parseLevel(word); {
		case odd:
			return release.LevelError
		case level != "":
			return level
		}
	}
	return release.LevelWarning
}

// say returns what the notification tells.
func (n *notification) say(m match) string {
	return cmp.Or(n.message.say(m.rule, m.home), n.descriptor.id, "without a message")
}
