// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

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
