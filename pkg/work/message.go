// SPDX-License-Identifier: Apache-2.0

package work

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
)

// ResultVariable names the environment variable with the path of the file to which a program of
// ours writes its Message. Its presence chooses the face of a Job.
const ResultVariable = "KNOWNGOOD_WORK_RESULT"

// A Message is how a program of ours ended.
type Message struct {
	Status fault.Status `json:"status"`
	Error  string       `json:"error,omitempty"`
	Hints  []string     `json:"hints,omitempty"`
	// Result is what the step found, as JSON.
	Result json.RawMessage `json:"result,omitempty"`
}

// Limits of a message. The cluster keeps 4096 bytes; ResultLimit is what of it a result may use.
const (
	messageLimit = 4096
	ResultLimit  = 2600
	errorLimit   = 420
	hintLimit    = 200
	mostHints    = 2
)

// Encode returns the message as the bytes of a termination message. What a person reads is cut
// to fit; a result is never cut, so one that is too long is an error.
func Encode(err error, result any) ([]byte, error) {
	m := Message{Status: fault.StatusOf(err)}
	if err != nil {
		m.Error = clip(err.Error(), errorLimit)
		for _, hint := range fault.Hints(err) {
			if len(m.Hints) < mostHints {
				m.Hints = append(m.Hints, clip(hint, hintLimit))
			}
		}
	}
	if result != nil {
		data, failed := json.Marshal(result)
		if failed != nil {
			return nil, fmt.Errorf("result of the Job: %w", failed)
		}
		if len(data) > ResultLimit {
			return nil, fmt.Errorf("result of the Job: %d bytes, and there is room for %d", len(data), ResultLimit)
		}
		m.Result = data
	}
	return marshal(m)
}

// marshal writes no HTML escapes, which would make the text longer than its limit says.
func marshal(m Message) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		return nil, err
	}
	data := bytes.TrimSpace(b.Bytes())
	for len(data) > messageLimit && m.Error != "" { // text that grows when it is quoted
		m.Error, m.Hints = clip(m.Error, len(m.Error)/2), nil
		b.Reset()
		if err := encoder.Encode(m); err != nil {
			return nil, err
		}
		data = bytes.TrimSpace(b.Bytes())
	}
	return data, nil
}

// errNoMessage is the error of a container that ended without telling how.
var errNoMessage = errors.New("it said nothing of its end")

// Parse reads a termination message.
func Parse(text string) (Message, error) {
	var m Message
	switch {
	case text == "":
		return m, errNoMessage
	case len(text) > messageLimit:
		return m, fmt.Errorf("its message has %d bytes, more than there may be", len(text))
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return Message{}, fmt.Errorf("its message is not one of ours: %s", kube.OneLine(err.Error()))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Message{}, errors.New("its message is not one of ours: there is more than one value")
	}
	known := slices.ContainsFunc(fault.Statuses(), func(meaning fault.Meaning) bool { return meaning.Status == m.Status })
	if !known || (m.Status == fault.Done) != (m.Error == "") {
		return Message{}, fmt.Errorf("its message is not one of ours: status %d with error %q", m.Status, clip(m.Error, hintLimit))
	}
	return m, nil
}

// Err returns the error with which the program ended, nil where it had none.
func (m Message) Err() error {
	if m.Status == fault.Done {
		return nil
	}
	err := fault.Exit(m.Status, errors.New(clip(m.Error, errorLimit)))
	for _, hint := range slices.Backward(m.Hints[:min(len(m.Hints), mostHints)]) {
		err = fault.Hint(err, "%s", clip(hint, hintLimit))
	}
	return err
}

// Read returns the result, which must have the form of into and no other.
func (m Message) Read(into any) error {
	if len(m.Result) == 0 {
		return errors.New("the Job handed no result back")
	}
	decoder := json.NewDecoder(bytes.NewReader(m.Result))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the result that the Job handed back: %s", kube.OneLine(err.Error()))
	}
	return nil
}

// clip makes text one line of at most limit bytes.
func clip(text string, limit int) string {
	if text = kube.OneLine(text); len(text) <= limit {
		return text
	}
	const dots = "…"
	cut := max(0, limit-len(dots))
	for cut > 0 && text[cut]&0xc0 == 0x80 { // within a character
		cut--
	}
	return text[:cut] + dots
}
