// SPDX-License-Identifier: Apache-2.0

// Package artifact owns the file in which a run that may not write to GitHub, such as that of
// a fork's pull request, leaves its record for a second run that may.
//
// The one idea: whoever made the first run's code can have written the file. Read believes
// nothing of it that has a consequence: it takes the decision of a gate, of a known form and a
// bounded size, and no more. What the record is about (commit, repository, run, links) is the
// second run's to say, from facts that the first cannot choose.
package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// Limit is the most bytes that a file may have.
const Limit = 8 << 20

// gate is the one step whose entries an artifact holds: nothing else can be done without
// rights, so nothing else can be told.
const gate = "gate"

// Write writes what the gate left of a record, whole or not at all. Findings that do not fit
// are left out from the end, where the least bad ones are.
func Write(path string, record release.Record) error {
	data, err := encode(record)
	if err != nil {
		return fmt.Errorf("artifact %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the runner's folder for the job
		return fmt.Errorf("artifact: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".knowngood-*.json")
	if err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(data)
	if err := errors.Join(err, draft.Chmod(0o644), draft.Close()); err != nil {
		return fmt.Errorf("artifact %s: %w", path, err)
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	return nil
}

func encode(record release.Record) ([]byte, error) {
	kept := release.Record{Subject: record.Subject}
	for _, entry := range record.Entries {
		if entry.Step == gate {
			kept.Entries = append(kept.Entries, entry)
		}
	}
	if len(kept.Entries) > mostEntries {
		kept.Entries = kept.Entries[len(kept.Entries)-mostEntries:]
	}
	for most := mostJudgements; ; most /= 2 {
		for i := range kept.Entries {
			kept.Entries[i].Decision = shortened(kept.Entries[i].Decision, most)
		}
		data, err := json.MarshalIndent(kept, "", " ")
		if err != nil || len(data) <= Limit {
			return data, err
		}
		if most == 0 {
			return nil, fmt.Errorf("%d bytes without any finding, and it may have %d", len(data), Limit)
		}
	}
}

// shortened returns a decision with at most so many judgements, and the rules of its scans left
// out, which only later questions need.
func shortened(decision *release.Decision, most int) *release.Decision {
	if decision == nil {
		return nil
	}
	d := *decision
	d.Judgements = d.Judgements[:min(most, len(d.Judgements))]
	d.Scans = append([]release.ScanSummary(nil), d.Scans...)
	for i := range d.Scans {
		d.Scans[i].Rules = nil
	}
	return &d
}

// Read reads a file that anybody can have written. The error says what is wrong with it.
func Read(path string) (release.Record, error) {
	data, err := bounded(path)
	if err == nil {
		var record release.Record
		if record, err = Parse(data); err == nil {
			return record, nil
		}
	}
	return release.Record{}, fault.Hint(fmt.Errorf("artifact %s: %w", path, err),
		"it is to be the file that the output artifact of the report named, and nothing of it is told now")
}

func bounded(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, Limit+1))
	if err == nil && len(data) > Limit {
		err = fmt.Errorf("more than %d bytes", Limit)
	}
	return data, err
}

// Parse reads the bytes of an artifact. A record that it returns has the decision of a gate.
func Parse(data []byte) (release.Record, error) {
	var record release.Record
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&record); err != nil {
		return release.Record{}, fmt.Errorf("not a record: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return release.Record{}, errors.New("not a record: more follows it")
	}
	if err := check(record); err != nil {
		return release.Record{}, err
	}
	return record, nil
}
