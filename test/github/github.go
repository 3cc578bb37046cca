// SPDX-License-Identifier: Apache-2.0

// Package github is a GitHub for tests and for the demo: a handler that keeps pull requests,
// comments, commit statuses, check runs, deployments and files in memory and answers by what was
// written to it, not by the order of the calls. It knows tokens and what each may do, pages its
// lists, refuses what GitHub refuses (a comment above 65,536 characters, a description above 140,
// a check run that is completed without a conclusion), and fails on demand: before or after it
// has done the work.
//
// Paths below /_fake/ are its own: its whole state as JSON, the requests it has seen, faults to
// come, and pull requests to begin with. GET /OWNER/NAME/pull/N shows a conversation.
package github

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Access is what a token may do with a scope.
type Access string

// Accesses. The zero value is none.
const (
	Read  Access = "read"
	Write Access = "write"
)

// A Token is one way to be somebody.
type Token struct {
	Login string `json:"login"`
	// App is true for tokens of an installed app, such as a workflow's own: their user is a
	// bot, and GET /user refuses them.
	App bool `json:"app,omitempty"`
	// Scopes that the token has, by the names of a workflow's permissions: "pull-requests",
	// "statuses", "checks", "deployments", "contents". Every token may read metadata.
	Scopes map[string]Access `json:"scopes"`
}

// Everything is what a token with all scopes may do.
func Everything() map[string]Access {
	return map[string]Access{
		"pull-requests": Write, "statuses": Write, "checks": Write, "deployments": Write, "contents": Read,
	}
}

// A Server is the handler. Its zero value knows no token and no repository.
type Server struct {
	// Now is the clock; nil is the real one.
	Now func() time.Time
	// Check, when set, sees every exchange that meets no fault before it is answered: its error
	// makes the answer a 500 that says what was wrong. Package contract has one.
	Check func(request *http.Request, requestBody []byte, status int, header http.Header, body []byte) error

	mu       sync.Mutex
	state    state
	faults   []Fault
	requests []Request
}

// state is what the server keeps.
type state struct {
	Tokens map[string]Token `json:"-"`
	Repos  map[string]*repo `json:"repositories"`
	NextID int64            `json:"next_id"`
}

type repo struct {
	Private  bool              `json:"private,omitempty"`
	Pulls    []*Pull           `json:"pull_requests"`
	Issues   []int             `json:"issues,omitempty"`
	Comments []*Comment        `json:"comments"`
	Statuses []*Status         `json:"statuses"`
	Commits  map[string]bool   `json:"commits"`
	Files    map[string]string `json:"files,omitempty"` // "commit:path" -> content

	Checks      []*CheckRun   `json:"check_runs,omitempty"`
	Deployments []*Deployment `json:"deployments,omitempty"`
}

// A Pull is a pull request as a test describes it.
type Pull struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Head   string `json:"head"` // commit
	Base   string `json:"base,omitempty"`
	// HeadRepository is another repository for a fork's pull request.
	HeadRepository string   `json:"head_repository,omitempty"`
	Commits        []string `json:"commits,omitempty"` // besides Head
	Closed         bool     `json:"closed,omitempty"`
	// MergeCommit is the commit that a merge, squash or rebase made; it implies Closed.
	MergeCommit string `json:"merge_commit,omitempty"`
	// TestMerge is the commit that GitHub makes of an open one to see whether it merges.
	TestMerge string `json:"test_merge,omitempty"`
	// BaseRepository is another repository for a pull request there that shares commits.
	BaseRepository string `json:"base_repository,omitempty"`
	Locked         bool   `json:"locked,omitempty"`
}

// A Comment is one comment of a conversation.
type Comment struct {
	ID      int64     `json:"id"`
	Issue   int       `json:"issue"`
	Login   string    `json:"login"`
	Bot     bool      `json:"bot,omitempty"`
	Body    string    `json:"body"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// A Status is one commit status.
type Status struct {
	ID          int64     `json:"id"`
	Commit      string    `json:"commit"`
	State       string    `json:"state"`
	Context     string    `json:"context"`
	Description string    `json:"description"`
	TargetURL   string    `json:"target_url"`
	Login       string    `json:"login"`
	Bot         bool      `json:"bot,omitempty"`
	Created     time.Time `json:"created"`
}

// A Request is one request that the server has seen. Tokens are not kept.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query,omitempty"`
	Status int    `json:"status"`
	Agent  string `json:"agent,omitempty"`
	Login  string `json:"login,omitempty"`
}

// AddToken makes a token known.
func (s *Server) AddToken(secret string, token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Tokens == nil {
		s.state.Tokens = map[string]Token{}
	}
	s.state.Tokens[secret] = token
}

// AddPull adds a pull request to a repository, which it makes where there is none.
func (s *Server) AddPull(repository string, pull Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repository)
	for _, commit := range append([]string{pull.Head, pull.MergeCommit}, pull.Commits...) {
		if commit != "" {
			r.Commits[commit] = true
		}
	}
	for i, old := range r.Pulls {
		if old.Number == pull.Number {
			r.Pulls[i] = &pull
			return
		}
	}
	r.Pulls = append(r.Pulls, &pull)
}

// AddIssue adds an issue that is no pull request.
func (s *Server) AddIssue(repository string, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repository)
	r.Issues = append(r.Issues, number)
}

// AddCommits makes commits known that belong to no pull request.
func (s *Server) AddCommits(repository string, commits ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, commit := range commits {
		s.repo(repository).Commits[commit] = true
	}
}

// AddFile puts a file into a commit.
func (s *Server) AddFile(repository, commit, path, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repository)
	r.Commits[commit] = true
	r.Files[commit+":"+path] = content
}

// AddComment puts a comment into a conversation as anybody, and returns its id.
func (s *Server) AddComment(repository string, issue int, login string, bot bool, body string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.comment(s.repo(repository), issue, login, bot, body).ID
}

func (s *Server) comment(r *repo, issue int, login string, bot bool, body string) *Comment {
	at := s.now()
	c := &Comment{ID: s.id(), Issue: issue, Login: login, Bot: bot, Body: body, Created: at, Updated: at}
	r.Comments = append(r.Comments, c)
	return c
}

// Comments returns the comments of a conversation, oldest first.
func (s *Server) Comments(repository string, issue int) []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var comments []Comment
	for _, c := range s.repo(repository).Comments {
		if c.Issue == issue {
			comments = append(comments, *c)
		}
	}
	return comments
}

// Statuses returns every status of a commit, oldest first.
func (s *Server) Statuses(repository, commit string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var statuses []Status
	for _, status := range s.repo(repository).Statuses {
		if status.Commit == commit {
			statuses = append(statuses, *status)
		}
	}
	return statuses
}

// Requests returns what was asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Dump returns the state as JSON: repositories with their pull requests, comments and statuses.
func (s *Server) Dump() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.MarshalIndent(s.state, "", "  ")
}

func (s *Server) repo(name string) *repo {
	name = strings.ToLower(name)
	if s.state.Repos == nil {
		s.state.Repos = map[string]*repo{}
	}
	if s.state.Repos[name] == nil {
		s.state.Repos[name] = &repo{Commits: map[string]bool{}, Files: map[string]string{}}
	}
	return s.state.Repos[name]
}

func (s *Server) id() int64 {
	s.state.NextID++
	return 1000 + s.state.NextID
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC().Truncate(time.Second)
	}
	return time.Now().UTC().Truncate(time.Second)
}

// String is the request in one line.
func (r Request) String() string { return r.Method + " " + r.Path + " " + http.StatusText(r.Status) }
