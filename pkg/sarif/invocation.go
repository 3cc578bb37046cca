// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"fmt"
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
	overrides        []override
	notifications    []notification
}

// An override is a rule configuration that held during the invocation.
type override struct {
	descriptor reference
	setting    rule
}

// A settingKey is a rule in one invocation.
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
	return err
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
	return err
}

func (r *run) readNotification(into *[]notification) error {
	n := notification{descriptor: reference{index: -1}}
	err := r.object(strict, func(name []byte) error {
		switch string(name) {
		case "level":
			return r.keepWord(&n.level)
		case "descriptor":
			return r.readReference(&n.descriptor)
		case "message":
			return r.readMessage(&n.message)
		default:
			return r.skip()
		}
	})
	*into = append(*into, n)
	return err
}

// configure looks up the rules that the invocations configured.
func (r *run) configure() {
	r.settings = map[settingKey]setting{}
	for i := range r.invocations {
		for _, o := range r.invocations[i].overrides {
			if d, guessed := r.lookup(o.descriptor); d != nil && !guessed {
				r.settings[settingKey{i, d}] = setting{o.setting.level, o.setting.off}
			}
		}
	}
}

// A setting is what an invocation said of a rule.
type setting struct {
	level string
	off   bool
}

// switchedOff tells whether every invocation ran without the rule.
func (r *run) switchedOff(d *rule) bool {
	for i := range r.invocations {
		if !r.settings[settingKey{i, d}].off {
			return false
		}
	}
	return len(r.invocations) > 0
}

// maxNotifications is how many of a scan's errors are told in words; the rest is counted.
const maxNotifications = 3

// completeness says how far the scan got, and notes why it is not complete.
func (r *run) completeness() release.Completeness {
	if !r.hasResults {
		if r.external {
			r.notes.add("the results lie in other files, which are not read")
		} else {
			r.notes.add("results is absent or null: the tool has not produced any, which is not the same as an empty list")
		}
	}
	state := release.ScanComplete
	if len(r.invocations) == 0 {
		r.notes.add("the tool says nothing of how its run ended (no invocations)")
		state = release.ScanUnknown
	}
	for i := range r.invocations {
		switch r.ended(&r.invocations[i]) {
		case release.ScanIncomplete:
			state = release.ScanIncomplete
		case release.ScanUnknown:
			if state == release.ScanComplete {
				state = release.ScanUnknown
			}
		}
	}
	if !r.hasResults {
		return release.ScanAbsent
	}
	return state
}

// ended says how one invocation ended, and notes what it reports.
func (r *run) ended(i *invocation) release.Completeness {
	state := release.ScanComplete
	switch {
	case !i.said:
		r.notes.add("the tool does not say whether its run succeeded (executionSuccessful is absent)")
		state = release.ScanUnknown
	case !i.successful:
		r.notes.add("the tool says that its run failed (executionSuccessful is false)")
		state = release.ScanIncomplete
	}
	if i.signal != "" {
		r.notes.add("the tool was ended by signal " + clean(i.signal, 60))
		state = release.ScanIncomplete
	}
	if i.startFailure != "" {
		r.notes.add("the tool did not start: " + clean(i.startFailure, 200))
		state = release.ScanIncomplete
	}
	errors := 0
	for n := range i.notifications {
		if r.notificationLevel(&i.notifications[n]) != release.LevelError {
			continue
		}
		if errors++; errors <= maxNotifications {
			r.notes.add("the tool reports an error: " + clean(r.notificationText(&i.notifications[n]), 200))
		}
	}
	if errors > maxNotifications {
		r.notes.add(fmt.Sprintf("the tool reports %d errors in all", errors))
	}
	if errors > 0 {
		state = release.ScanIncomplete
	}
	return state
}

// notificationLevel follows the chain of §3.58.6: its own, the descriptor's, warning. A word
// that is no level is taken for an error.
func (r *run) notificationLevel(n *notification) release.Level {
	level, odd := parseLevel(n.level)
	if odd {
		return release.LevelError
	}
	if d := r.notificationRule(n); level == "" && d != nil {
		if level, odd = parseLevel(d.level); odd {
			return release.LevelError
		}
	}
	if level == "" {
		return release.LevelWarning
	}
	return level
}

func (r *run) notificationRule(n *notification) *rule {
	home := r.home(n.descriptor.component)
	if n.descriptor.id != "" {
		return home.notificationByID[n.descriptor.id]
	}
	if n.descriptor.index >= 0 && n.descriptor.index < len(home.notifications) {
		return &home.notifications[n.descriptor.index]
	}
	return nil
}

func (r *run) notificationText(n *notification) string {
	d := r.notificationRule(n)
	home := r.home(n.descriptor.component)
	if text := n.message.say(d, home); text != "" {
		return text
	}
	if n.descriptor.id != "" {
		return n.descriptor.id
	}
	return "without a message"
}
