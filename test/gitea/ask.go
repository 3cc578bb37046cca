// SPDX-License-Identifier: Apache-2.0

package gitea

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
)

// Ask sends a request to the API as the person, and returns the answer's status and its body.
// into, when it is not nil, takes the body as JSON.
func (s *Server) Ask(t testing.TB, method, path string, send, into any) (int, []byte) {
	t.Helper()
	var body io.Reader
	if send != nil {
		data, err := json.Marshal(send)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.API+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "token "+s.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %d, %v in %.400s", method, path, response.StatusCode, err, answer)
		}
	}
	return response.StatusCode, answer
}

// must is Ask for what has to work.
func (s *Server) must(t testing.TB, method, path string, send, into any) {
	t.Helper()
	if status, answer := s.Ask(t, method, path, send, into); status >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %d %.400s", method, path, status, answer)
	}
}

type object = map[string]any

// Repository makes a repository of the person's with one commit on its branch main, and
// returns its full name.
func (s *Server) Repository(t testing.TB, name string) string {
	t.Helper()
	s.must(t, http.MethodPost, "/user/repos", object{"name": name, "auto_init": true, "default_branch": "main"}, nil)
	return s.Login + "/" + name
}

// A Pull is a pull request as it was opened.
type Pull struct {
	Number int
	Head   string // commit
}

// Pull opens a pull request that adds a file on a branch of its own.
func (s *Server) Pull(t testing.TB, repository, branch, path, content string) Pull {
	t.Helper()
	s.must(t, http.MethodPost, "/repos/"+repository+"/contents/"+path, object{
		"content": base64.StdEncoding.EncodeToString([]byte(content)), "branch": "main", "new_branch": branch, "message": "Change " + path,
	}, nil)
	var pull struct {
		Number int
		Head   struct{ SHA string }
	}
	s.must(t, http.MethodPost, "/repos/"+repository+"/pulls", object{"head": branch, "base": "main", "title": "Change " + path}, &pull)
	return Pull{Number: pull.Number, Head: pull.Head.SHA}
}

// Commit returns the commit of a branch.
func (s *Server) Commit(t testing.TB, repository, branch string) string {
	t.Helper()
	var found struct {
		Commit struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	s.must(t, http.MethodGet, "/repos/"+repository+"/branches/"+branch, nil, &found)
	return found.Commit.ID
}

// Squash merges a pull request as one new commit, and returns that.
func (s *Server) Squash(t testing.TB, repository string, number int) string {
	t.Helper()
	path := fmt.Sprintf("/repos/%s/pulls/%d", repository, number)
	s.must(t, http.MethodPost, path+"/merge", object{"Do": "squash"}, nil)
	var pull struct {
		Merge string `json:"merge_commit_sha"`
	}
	s.must(t, http.MethodGet, path, nil, &pull)
	return pull.Merge
}

// A Comment is one comment of a conversation.
type Comment struct {
	ID   int64
	Body string
}

// Comments returns the comments of a pull request, oldest first.
func (s *Server) Comments(t testing.TB, repository string, number int) []Comment {
	t.Helper()
	var comments []Comment
	s.must(t, http.MethodGet, fmt.Sprintf("/repos/%s/issues/%d/comments", repository, number), nil, &comments)
	return comments
}

// A Status is one commit status. Gitea calls its state a status.
type Status struct {
	ID                           int64
	Context, Status, Description string
}

// Statuses returns all statuses that were ever set of a commit, oldest first.
func (s *Server) Statuses(t testing.TB, repository, commit string) []Status {
	t.Helper()
	var statuses []Status
	s.must(t, http.MethodGet, "/repos/"+repository+"/commits/"+commit+"/statuses?limit=50", nil, &statuses)
	slices.SortFunc(statuses, func(a, b Status) int { return cmp.Compare(a.ID, b.ID) }) // Gitea's order is to the second
	return statuses
}
