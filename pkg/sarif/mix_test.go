// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// values are what stands in a log between its punctuation.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|\{\}|\[\]`)

// A mixer makes logs of others by putting values in other places: most of them are JSON still,
// and many a log, which of those that FuzzRead makes few are.
type mixer struct {
	*rand.Rand
	logs [][]byte
}

func (m mixer) next() []byte {
	log := bytes.Clone(m.logs[m.IntN(len(m.logs))])
	for range 1 + m.IntN(4) {
		at := m.value(log)
		if at == nil {
			return log
		}
		other := m.logs[m.IntN(len(m.logs))]
		taken := m.value(other)
		value := other[taken[0]:taken[1]]
		if m.IntN(2) == 0 {
			odd := []string{"null", "{}", "[]", `"x"`, "1e9", "-1", "true", `"error"`, `"none"`, `""`, "[{}]", "[null]", `"results"`, `"suppressions"`}
			value = []byte(odd[m.IntN(len(odd))])
		}
		log = bytes.Join([][]byte{log[:at[0]], value, log[at[1]:]}, nil)
	}
	if m.IntN(8) == 0 {
		log[m.IntN(len(log))] ^= 1 << m.IntN(8)
	}
	return log
}

// value is where one of a log's values stands.
func (m mixer) value(log []byte) []int {
	all := values.FindAllIndex(log, -1)
	if len(all) == 0 {
		return nil
	}
	return all[m.IntN(len(all))]
}

// TestMixedLogs holds Read to a plain decode of the same bytes, as FuzzRead does: some hundred
// logs, and five minutes of them in a soak.
func TestMixedLogs(t *testing.T) {
	t.Parallel()
	m := mixer{Rand: rand.New(rand.NewPCG(seedOf(t), 0)), logs: plainCases(t)}
	began, rounds, taken, findings := time.Now(), 0, 0, 0
	soak := os.Getenv("KNOWNGOOD_SOAK") != ""
	var log []byte
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last log was\n%s", log)
		}
	})
	for ; rounds < 600 || soak && time.Since(began) < 5*time.Minute; rounds++ {
		log = m.next()
		scans, err := Read(bytes.NewReader(log), "x", Options{Root: "/checkout", Limits: Limits{File: 1 << 20, Findings: 1000}})
		if err != nil {
			continue
		}
		taken, findings = taken+1, findings+count(scans)
		against(t, scans, plain(t, log))
	}
	t.Logf("%d logs, of which %d could be read, with %d findings", rounds, taken, findings)
	if taken < rounds/20 {
		t.Errorf("only %d of %d logs could be read: that proves little", taken, rounds)
	}
}

// plainCases are the conformance cases that have values, and are not long.
func plainCases(t *testing.T) (logs [][]byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.sarif")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < 6000 && values.Match(data) {
			logs = append(logs, data)
		}
	}
	return logs
}

// seedOf is KNOWNGOOD_SOAK_SEED, or 1.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("KNOWNGOOD_SOAK_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("KNOWNGOOD_SOAK_SEED: %v", err)
	}
	return seed
}
