// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/gitea"
)

// The whole chain without a part of ours but knowngood: act runs the Action, and the Action
// reports to a real Gitea. The first run comments, the second updates that comment.
func TestTheActionReportsOnAGitea(t *testing.T) {
	server := gitea.Start(t)
	s := newShop(t)
	s.api, s.token, s.name = server.API, server.Token, server.Repository(t, "shop")
	s.git("remote", "set-url", "origin", "https://github.com/"+s.name+".git") // act takes the name from it
	base := server.Commit(t, s.name, "main")
	pull := server.Pull(t, s.name, "change", "internal/store.go", "package store\nvar query = \"\"\n")

	closed := s.run("pull_request", "pull-request.yml", s.numbered(pull, base))
	closed.Check(t, map[string]string{"gate": "failure", "report": "success"}, map[string]string{"gate.decision": "fail"})
	first := server.Comments(t, s.name, pull.Number)
	if len(first) != 1 || !strings.Contains(first[0].Body, "must not ship") {
		t.Fatalf("comments: %+v", first)
	}

	s.write("scans/gosec.sarif", s.git("show", "HEAD:scans/clean.sarif"))
	s.commit("mended")
	open := s.run("pull_request", "pull-request.yml", s.numbered(pull, base))
	open.Check(t, map[string]string{"gate": "success", "report": "success"}, map[string]string{"gate.decision": "pass"})
	second := server.Comments(t, s.name, pull.Number)
	if len(second) != 1 || second[0].ID != first[0].ID || !strings.Contains(second[0].Body, "may ship") {
		t.Errorf("comments: %+v, want the first one with the second run", second)
	}
	statuses := server.Statuses(t, s.name, pull.Head)
	if len(statuses) != 2 || statuses[0].Status != "failure" || statuses[1].Status != "success" {
		t.Errorf("statuses: %+v", statuses)
	}
}

// numbered is the payload of a Gitea's pull request.
func (s *shop) numbered(pull gitea.Pull, base string) object {
	payload := pullRequest(pull.Head, base)
	payload["number"] = pull.Number
	payload["pull_request"].(object)["number"] = pull.Number
	return payload
}
