// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

func (s *Server) createStatus(x *exchange, groups []string) {
	r, commit := s.repo(groups[1]), groups[2]
	if !x.may("statuses", Write) {
		return
	}
	var in Status
	if !x.decode(&in) {
		return
	}
	if in.Context == "" {
		in.Context = "default"
	}
	written := 0
	for _, old := range r.Statuses {
		if old.Commit == commit && old.Context == in.Context {
			written++
		}
	}
	switch {
	case !r.Commits[commit]:
		x.fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+commit)
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, in.State):
		x.invalid("Status", "state", "custom", "state is not included in the list")
	case utf8.RuneCountInString(in.Description) > 140:
		x.invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	case in.TargetURL != "" && !strings.HasPrefix(in.TargetURL, "http"):
		x.invalid("Status", "target_url", "custom", "target_url must use http(s) scheme")
	case written >= 1000:
		x.invalid("Status", "base", "custom", "This SHA and context has reached the maximum number of statuses.")
	default:
		in.ID, in.Commit, in.Login, in.Bot, in.Created = s.id(), commit, x.token.Login, x.token.App, s.now()
		r.Statuses = append(r.Statuses, &in)
		x.status, x.value = http.StatusCreated, x.statusOf(groups[1], &in)
	}
}

// newest returns the statuses of a commit, newest first.
func (r *repo) newest(commit string) []*Status {
	var list []*Status
	for _, status := range slices.Backward(r.Statuses) {
		if status.Commit == commit {
			list = append(list, status)
		}
	}
	return list
}

func (s *Server) listStatuses(x *exchange, groups []string) {
	if !x.may("statuses", Read) {
		return
	}
	list := []any{}
	for _, status := range s.repo(groups[1]).newest(groups[2]) {
		list = append(list, x.statusOf(groups[1], status))
	}
	x.status, x.value = http.StatusOK, page(x, list)
}

func (s *Server) combinedStatus(x *exchange, groups []string) {
	if !x.may("statuses", Read) {
		return
	}
	list, seen, total := []any{}, map[string]bool{}, "success"
	for _, status := range s.repo(groups[1]).newest(groups[2]) {
		if seen[status.Context] {
			continue
		}
		seen[status.Context] = true
		list = append(list, x.simpleStatus(groups[1], status))
		switch {
		case status.State == "failure" || status.State == "error":
			total = "failure"
		case status.State == "pending" && total == "success":
			total = "pending"
		}
	}
	if len(list) == 0 {
		total = "pending"
	}
	x.status = http.StatusOK
	x.value = map[string]any{
		"state": total, "sha": groups[2], "total_count": len(list), "statuses": page(x, list),
		"repository": x.repository(groups[1]),
		"commit_url": x.base + "/repos/" + groups[1] + "/commits/" + groups[2],
		"url":        x.base + "/repos/" + groups[1] + "/commits/" + groups[2] + "/status",
	}
}
