// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
)

// A Setup is what POST /_fake/setup adds to the state.
type Setup struct {
	Repository string   `json:"repository"`
	Pulls      []Pull   `json:"pull_requests,omitempty"`
	Commits    []string `json:"commits,omitempty"`
	Faults     []Fault  `json:"faults,omitempty"`
}

// Apply adds the setup to the server.
func (s *Server) Apply(setup Setup) {
	for _, pull := range setup.Pulls {
		s.AddPull(setup.Repository, pull)
	}
	s.AddCommits(setup.Repository, setup.Commits...)
	s.Fail(setup.Faults...)
}

// own answers for the paths that no GitHub has.
func (s *Server) own(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch r.Method + " " + r.URL.Path {
	case "GET /_fake/state":
		dump, err := s.Dump()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(append(dump, '\n')) // the client may have gone
	case "GET /_fake/requests":
		for _, request := range s.Requests() {
			_ = json.NewEncoder(w).Encode(request) // the client may have gone
		}
	case "POST /_fake/setup":
		var setup Setup
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&setup); err != nil || setup.Repository == "" {
			http.Error(w, fmt.Sprintf("no setup of a repository: %v", err), http.StatusBadRequest)
			return
		}
		s.Apply(setup)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

var conversationForm = regexp.MustCompile(`^/([\w.-]+/[\w.-]+)/pull/(\d+)$`)

// conversation shows a pull request's comments as the Markdown that they are. It answers for
// paths of GitHub's web pages alone, and returns false for all others.
func (s *Server) conversation(w http.ResponseWriter, r *http.Request) bool {
	groups := conversationForm.FindStringSubmatch(r.URL.Path)
	if groups == nil || r.Method != http.MethodGet || groups[1] == "api/v3" {
		return false
	}
	number, err := strconv.Atoi(groups[2])
	if err != nil {
		return false
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	for _, c := range s.Comments(groups[1], number) {
		fmt.Fprintf(w, "<!-- comment %d by %s, %s -->\n\n%s\n\n", c.ID, c.Login, stamp(c.Updated), c.Body)
	}
	return true
}
