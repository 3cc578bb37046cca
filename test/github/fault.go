// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"regexp"
)

// A Fault makes requests fail.
type Fault struct {
	Method string `json:"method,omitempty"` // "" is any
	// Path is a regular expression that the request's path must match; "" is any.
	Path   string            `json:"path,omitempty"`
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
	// Times is how many requests it meets; 0 is one.
	Times int `json:"times,omitempty"`
	// After is true when the work is done and only the answer is lost.
	After bool `json:"after,omitempty"`
}

// Fail adds faults to come. Each request meets the first fault that fits it.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, f)
	}
}

// Throttled is the answer of a secondary rate limit.
func Throttled(retryAfter string) Fault {
	header := map[string]string{}
	if retryAfter != "" {
		header["Retry-After"] = retryAfter
	}
	return Fault{
		Status: http.StatusForbidden,
		Header: header,
		Body: `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",` +
			`"documentation_url":"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits","status":"403"}`,
	}
}

// meet takes the fault that fits a request, or nil.
func (s *Server) meet(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Times == 0 || f.Method != "" && f.Method != r.Method {
			continue
		}
		if fits, err := regexp.MatchString(f.Path, r.URL.Path); err != nil || !fits {
			continue
		}
		f.Times--
		taken := *f
		return &taken
	}
	return nil
}

// answer writes the fault in place of the real answer.
func (f *Fault) answer(a *answer) {
	*a = answer{status: f.Status, header: http.Header{}, raw: []byte(f.Body)}
	for name, value := range f.Header {
		a.header.Set(name, value)
	}
	if f.Body == "" {
		a.fail(f.Status, http.StatusText(f.Status))
	}
}
