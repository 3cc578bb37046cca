// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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
	{http.MethodGet, regexp.MustCompile(`^` + nameForm + `/contents/(.+)$`), (*Server).getContents},
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

func (s *Server) listComments(x *exchange, groups []string) {
	r := s.repo(groups[1])
	number, _, ok := s.issue(x, r, groups[2])
	if !ok || !x.may("pull-requests", Read) {
		return
	}
	list := []any{}
	for _, c := range r.Comments {
		if c.Issue == number {
			list = append(list, x.comment(groups[1], c))
		}
	}
	x.status, x.value = http.StatusOK, page(x, list)
}

func (s *Server) createComment(x *exchange, groups []string) {
	r := s.repo(groups[1])
	number, pull, ok := s.issue(x, r, groups[2])
	if !ok || !x.may("pull-requests", Write) {
		return
	}
	if pull != nil && pull.Locked {
		x.fail(http.StatusForbidden, "Unable to create comment because issue is locked")
		return
	}
	if body, ok := x.commentBody(); ok {
		c := s.comment(r, number, x.token.Login, x.token.App, body)
		x.status, x.value = http.StatusCreated, x.comment(groups[1], c)
		x.header.Set("Location", x.base+"/repos/"+groups[1]+"/issues/comments/"+strconv.FormatInt(c.ID, 10))
	}
}

func (x *exchange) commentBody() (string, bool) {
	var in struct{ Body *string }
	if !x.decode(&in) {
		return "", false
	}
	switch {
	case in.Body == nil || strings.TrimSpace(*in.Body) == "":
		x.invalid("IssueComment", "body", "missing_field", "body cannot be blank")
		return "", false
	case len(*in.Body) > 65536:
		x.invalid("IssueComment", "body", "unprocessable", "Body is too long (maximum is 65536 characters)")
		return "", false
	}
	return *in.Body, true
}

func (s *Server) withComment(x *exchange, groups []string, access Access, use func(r *repo, at int)) {
	r := s.repo(groups[1])
	at := slices.IndexFunc(r.Comments, func(c *Comment) bool { return strconv.FormatInt(c.ID, 10) == groups[2] })
	if at < 0 {
		x.fail(http.StatusNotFound, "Not Found")
		return
	}
	if x.may("pull-requests", access) {
		use(r, at)
	}
}

func (s *Server) getComment(x *exchange, groups []string) {
	s.withComment(x, groups, Read, func(r *repo, at int) {
		x.status, x.value = http.StatusOK, x.comment(groups[1], r.Comments[at])
	})
}

func (s *Server) editComment(x *exchange, groups []string) {
	s.withComment(x, groups, Write, func(r *repo, at int) {
		if body, ok := x.commentBody(); ok {
			r.Comments[at].Body, r.Comments[at].Updated = body, s.now()
			x.status, x.value = http.StatusOK, x.comment(groups[1], r.Comments[at])
		}
	})
}

func (s *Server) deleteComment(x *exchange, groups []string) {
	s.withComment(x, groups, Write, func(r *repo, at int) {
		r.Comments = slices.Delete(r.Comments, at, at+1)
		x.status = http.StatusNoContent
	})
}

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
		if p.Head == commit || p.MergeCommit == commit || slices.Contains(p.Commits, commit) {
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

func (s *Server) getContents(x *exchange, groups []string) {
	if !x.may("contents", Read) {
		return
	}
	r, ref := s.repo(groups[1]), x.URL.Query().Get("ref")
	content, ok := r.Files[ref+":"+groups[2]]
	if !ok {
		x.fail(http.StatusNotFound, "Not Found")
		return
	}
	x.status, x.value = http.StatusOK, x.file(groups[1], ref, groups[2], base64.StdEncoding.EncodeToString([]byte(content)), len(content))
}
