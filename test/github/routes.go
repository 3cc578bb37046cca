// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const nameForm = `/repos/([\w.-]+/[\w.-]+)`

// A handler answers with what the path's groups were.
type handler func(s *Server, x *exchange, groups []string)

var routes = []struct {
	method string
	path   *regexp.Regexp
	handle handler
}{
	{http.MethodGet, regexp.MustCompile(`^/user$`), (*Server).whoami},
	{http.MethodPost, regexp.MustCompile(`^/graphql$`), (*Server).viewer},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/issues/(\d+)/comments$`), (*Server).listComments},
	{http.MethodPost, regexp.MustCompile(`^` + nameForm + `/issues/(\d+)/comments$`), (*Server).createComment},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/issues/comments/(\d+)$`), (*Server).getComment},
	{http.MethodPatch, regexp.MustCompile(`^` + nameForm + `/issues/comments/(\d+)$`), (*Server).editComment},
	{http.MethodDelete, regexp.MustCompile(`^` + nameForm + `/issues/comments/(\d+)$`), (*Server).deleteComment},
	{http.MethodPost, regexp.MustCompile(`^` + nameForm + `/statuses/([^/]+)$`), (*Server).createStatus},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/commits/([^/]+)/status$`), (*Server).combinedStatus},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/commits/([^/]+)/statuses$`), (*Server).listStatuses},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/commits/([^/]+)/pulls$`), (*Server).pullsOfCommit},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/pulls/(\d+)$`), (*Server).getPull},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/pulls$`), (*Server).listPulls},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/contents/(.+)$`), (*Server).getContents},
	{http.MethodPost, regexp.MustCompile(`^` + nameForm + `/check-runs$`), (*Server).createCheckRun},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/check-runs/(\d+)$`), (*Server).getCheckRun},
	{http.MethodPatch, regexp.MustCompile(`^` + nameForm + `/check-runs/(\d+)$`), (*Server).updateCheckRun},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/check-runs/(\d+)/annotations$`), (*Server).listAnnotations},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/commits/([^/]+)/check-runs$`), (*Server).listCheckRuns},
	{http.MethodPost, regexp.MustCompile(`^` + nameForm + `/deployments$`), (*Server).createDeployment},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/deployments$`), (*Server).listDeployments},
	{http.MethodPost, regexp.MustCompile(`^` + nameForm + `/deployments/(\d+)/statuses$`), (*Server).createDeploymentStatus},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/deployments/(\d+)/statuses$`), (*Server).listDeploymentStatuses},
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/git/commits/([^/]+)$`), (*Server).getCommit},
}

func (s *Server) dispatch(x *exchange) {
	for _, route := range routes {
		groups := route.path.FindStringSubmatch(x.URL.Path)
		if groups == nil || route.method != x.Method {
			continue
		}
		if len(groups) > 1 && s.state.Repos[strings.ToLower(groups[1])] == nil {
			x.fail(http.StatusNotFound, "Not Found")
			return
		}
		route.handle(s, x, groups)
		return
	}
	x.fail(http.StatusNotFound, "Not Found")
}

func (s *Server) whoami(x *exchange, _ []string) {
	switch {
	case !x.known:
		x.fail(http.StatusUnauthorized, "Requires authentication")
	case x.token.App:
		x.fail(http.StatusForbidden, "Resource not accessible by integration")
	default:
		x.status, x.value = http.StatusOK, x.publicUser(x.token.Login)
	}
}

func (s *Server) viewer(x *exchange, _ []string) {
	var query struct{ Query string }
	if !x.decode(&query) {
		return
	}
	x.status = http.StatusOK
	if !regexp.MustCompile(`^\s*(query)?\s*\{\s*viewer\s*\{\s*login\s*\}\s*\}\s*$`).MatchString(query.Query) {
		x.value = map[string]any{"errors": []any{map[string]any{"message": "this GitHub knows viewer { login } alone"}}}
		return
	}
	x.value = map[string]any{"data": map[string]any{"viewer": map[string]any{"login": x.token.Login}}}
}

func (s *Server) issue(x *exchange, r *repo, text string) (number int, pull *Pull, ok bool) {
	number, err := strconv.Atoi(text)
	if err == nil {
		for _, p := range r.Pulls {
			if p.Number == number {
				return number, p, true
			}
		}
		if slices.Contains(r.Issues, number) {
			return number, nil, true
		}
	}
	x.fail(http.StatusNotFound, "Not Found")
	return 0, nil, false
}

func (s *Server) pullsOfCommit(x *exchange, groups []string) {
	r, commit := s.repo(groups[1]), groups[2]
	if !r.Commits[commit] {
		x.fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+commit)
		return
	}
	if !x.may("pull-requests", Read) {
		return
	}
	list := []any{}
	for _, p := range r.Pulls {
		// GitHub looks in this repository: what is in a fork alone belongs to no pull request.
		here := p.HeadRepository == "" && (p.Head == commit || slices.Contains(p.Commits, commit))
		if here || p.MergeCommit == commit {
			list = append(list, x.pull(groups[1], p, false))
		}
	}
	x.status, x.value = http.StatusOK, page(x, list)
}

// listPulls lists them as GitHub does by default, open ones alone and newest first.
func (s *Server) listPulls(x *exchange, groups []string) {
	if !x.may("pull-requests", Read) {
		return
	}
	list, state := []any{}, x.URL.Query().Get("state")
	for _, p := range slices.Backward(s.repo(groups[1]).Pulls) {
		open := !p.Closed && p.MergeCommit == ""
		if state == "all" || open == (state != "closed") {
			list = append(list, x.pull(groups[1], p, false))
		}
	}
	x.status, x.value = http.StatusOK, page(x, list)
}

func (s *Server) getPull(x *exchange, groups []string) {
	_, pull, ok := s.issue(x, s.repo(groups[1]), groups[2])
	switch {
	case !ok:
	case pull == nil:
		x.fail(http.StatusNotFound, "Not Found")
	case x.may("pull-requests", Read):
		x.status, x.value = http.StatusOK, x.pull(groups[1], pull, true)
	}
}
