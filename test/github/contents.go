// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/base64"
	"net/http"
	"strings"
)

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

func (s *Server) getCommit(x *exchange, groups []string) {
	if !x.may("contents", Read) {
		return
	}
	if !s.repo(groups[1]).Commits[groups[2]] {
		x.fail(http.StatusNotFound, "Not Found")
		return
	}
	x.status, x.value = http.StatusOK, x.gitCommit(groups[1], groups[2])
}

// gitCommit is a commit as git has it. The server keeps no trees: each has the empty one.
func (x *exchange) gitCommit(repository, commit string) object {
	const tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	address := x.base + "/repos/" + repository + "/git"
	person := object{"name": "Ada", "email": "ada@example.org", "date": "2026-01-02T03:04:05Z"}
	return object{
		"sha": commit, "node_id": "C_" + commit, "url": address + "/commits/" + commit, "html_url": x.web(repository + "/commit/" + commit),
		"author": person, "committer": person, "message": "Change " + strings.ToLower(commit), "parents": []any{},
		"tree":         object{"sha": tree, "url": address + "/trees/" + tree},
		"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
	}
}
