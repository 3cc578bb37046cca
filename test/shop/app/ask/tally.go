// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// keptErrors is how many of the first errors a summary holds.
const keptErrors = 10

// A Summary is what a customer saw. Latencies are in milliseconds.
type Summary struct {
	Began    time.Time          `json:"began"`
	Ended    time.Time          `json:"ended"`
	Requests int                `json:"requests"`
	Failures int                `json:"failures"`
	Errors   []string           `json:"errors"` // the first ones, with their time
	Latency  map[string]float64 `json:"latency"`
	Serials  []Serial           `json:"serials"` // of the certificates served, in order of appearance
}

// A Serial is one certificate that the shop served.
type Serial struct {
	Serial   string    `json:"serial"` // hexadecimal
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Requests int       `json:"requests"`
}

// Write writes the summary as one line of JSON.
func (s *Summary) Write(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// A tally counts for all workers.
type tally struct {
	mu        sync.Mutex
	sum       Summary
	latencies []time.Duration
}

func newTally() *tally {
	return &tally{sum: Summary{Began: time.Now(), Errors: []string{}, Serials: []Serial{}}}
}

func (t *tally) asked(took time.Duration, err error) {
	t.mu.Lock()
	t.sum.Requests++
	t.latencies = append(t.latencies, took)
	t.mu.Unlock()
	if err != nil {
		t.failed(err)
	}
}

func (t *tally) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Failures++
	if len(t.sum.Errors) < keptErrors {
		t.sum.Errors = append(t.sum.Errors, time.Now().UTC().Format(time.RFC3339Nano)+" "+err.Error())
	}
}

func (t *tally) served(state *tls.ConnectionState) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return
	}
	now, serial := time.Now(), fmt.Sprintf("%x", state.PeerCertificates[0].SerialNumber)
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.sum.Serials, func(s Serial) bool { return s.Serial == serial })
	if i < 0 {
		t.sum.Serials = append(t.sum.Serials, Serial{Serial: serial, First: now})
		i = len(t.sum.Serials) - 1
	}
	t.sum.Serials[i].Last = now
	t.sum.Serials[i].Requests++
}

func (t *tally) summary() *Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sum
	s.Ended = time.Now()
	slices.Sort(t.latencies)
	s.Latency = map[string]float64{}
	for name, part := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1} {
		s.Latency[name] = percentile(t.latencies, part)
	}
	return &s
}

// percentile is in milliseconds; 0 when nothing was measured.
func percentile(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(part*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}
