// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/github/contract"
)

const (
	repository = "acme/shop"
	workflow   = "ghs_workflow" // a workflow's own token
	person     = "ghp_person"
	reader     = "ghs_fork"

	head   = "3f2a9c1d0b7e4a5f8c6d9e0b1a2f3c4d5e6f7a8b"
	merged = "9e8d7c6b5a493827161504f3e2d1c0b9a8f7e6d5"
	lonely = "1111111111111111111111111111111111111111"
)

// world is a fake GitHub with a pull request, and the waits that clients of it made.
type world struct {
	*github.Server
	url string

	mu    sync.Mutex
	waits []time.Duration
	// http is the server's own: closing a server closes the idle connections of the default one.
	http *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: &github.Server{Check: contract.Hold(t)}}
	bot := "github-actions[bot]"
	w.AddToken(workflow, github.Token{Login: bot, App: true, Scopes: github.Everything()})
	w.AddToken(reader, github.Token{Login: bot, App: true, Scopes: map[string]github.Access{
		"pull-requests": github.Read, "statuses": github.Read, "contents": github.Read,
	}})
	w.AddToken(person, github.Token{Login: "ada", Scopes: github.Everything()})
	w.AddPull(repository, github.Pull{Number: 7, Title: "Sell more", Head: head})
	w.AddCommits(repository, lonely)
	server := httptest.NewServer(w.Server)
	t.Cleanup(server.Close)
	w.url, w.http = server.URL, server.Client()
	return w
}

func (w *world) options(token string) pullrequest.Options {
	return pullrequest.Options{API: w.url, Token: token, Repository: repository, Pause: w.pause, Now: time.Now, Client: w.http}
}

func (w *world) pause(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, d)
	return ctx.Err()
}

func (w *world) client(t *testing.T, token string) *pullrequest.Client {
	t.Helper()
	return newClient(t, w.options(token))
}

func newClient(t *testing.T, options pullrequest.Options) *pullrequest.Client {
	t.Helper()
	client, err := pullrequest.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// asked returns what the server was asked, without the questions who the token is.
func (w *world) asked() string {
	var lines []string
	for _, r := range w.Requests() {
		if r.Path != "/user" && r.Path != "/graphql" {
			lines = append(lines, r.Method+" "+strings.TrimPrefix(r.Path, "/repos/acme/shop/"))
		}
	}
	return strings.Join(lines, "\n")
}

func marker(run, first, last string) pullrequest.Marker {
	return pullrequest.Marker{App: "shop", Environment: "production", Commit: head, Run: run, First: first, Last: last}
}

func hint(err error) string { return strings.Join(fault.Hints(err), "; ") }

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	good := pullrequest.Options{Repository: repository}
	for _, test := range []struct {
		name  string
		spoil func(*pullrequest.Options)
		wrong string
	}{
		{"no owner", func(o *pullrequest.Options) { o.Repository = "shop" }, `repository "shop": want owner/name`},
		{"dots", func(o *pullrequest.Options) { o.Repository = "../.." }, `repository "../..": want owner/name`},
		{"more path", func(o *pullrequest.Options) { o.Repository = "a/b/c" }, `repository "a/b/c": want owner/name`},
		{"no URL", func(o *pullrequest.Options) { o.API = "api.github.com" }, `address of GitHub's API "api.github.com": want a URL`},
		{"clear text", func(o *pullrequest.Options) { o.API = "http://ghes.acme.example/api/v3" }, `address of GitHub's API "http://ghes.acme.example/api/v3": the token would travel in clear text`},
		{"password", func(o *pullrequest.Options) { o.API = "https://ada:secret@ghes.acme.example" }, `address of GitHub's API "https://ada:xxxxx@ghes.acme.example": want no user, query or fragment in it`},
		{"token", func(o *pullrequest.Options) { o.Token = "two words" }, "the token has blanks, line breaks or other characters that no token has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			options := good
			test.spoil(&options)
			_, err := pullrequest.New(options)
			if err == nil || err.Error() != test.wrong || fault.StatusOf(err) != fault.Usage {
				t.Errorf("New() = %v with status %d, want %s", err, fault.StatusOf(err), test.wrong)
			}
			if err != nil && (strings.Contains(err.Error()+hint(err), "secret") || strings.Contains(err.Error(), "two words")) {
				t.Errorf("a secret shows in %v", err)
			}
		})
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	for api, want := range map[string]string{
		"":                                 "https://github.com",
		"https://api.github.com/":          "https://github.com",
		"https://ghes.acme.example/api/v3": "https://ghes.acme.example",
		"https://api.acme.ghe.com":         "https://acme.ghe.com",
		"http://127.0.0.1:3000/api/v1":     "http://127.0.0.1:3000",
		"https://acme.example/git/api/v1/": "https://acme.example/git",
		"nonsense":                         "",
	} {
		if got := pullrequest.Server(api); got != want {
			t.Errorf("Server(%q) = %q, want %q", api, got, want)
		}
		if pullrequest.Gitea(api) != strings.Contains(api, "/api/v1") {
			t.Errorf("Gitea(%q) = %t", api, pullrequest.Gitea(api))
		}
	}
}

func TestTheTokenStaysAtHome(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen++
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 307, 308} {
		w := newWorld(t)
		w.Fail(github.Fault{Path: "/pulls/7$", Status: status, Header: map[string]string{"Location": elsewhere.URL + "/steal"}})
		_, err := w.client(t, workflow).Get(t.Context(), 7)
		if err == nil || !strings.Contains(err.Error(), "which is another server") || strings.Contains(err.Error(), workflow) {
			t.Errorf("%d: Get() = %v", status, err)
		}
	}
	if seen > 0 {
		t.Errorf("%d requests reached another server", seen)
	}
}

func TestARepositoryThatMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPull("acme/store", github.Pull{Number: 7, Head: head})
	move := func(method string, status int, from, to string) {
		w.Fail(github.Fault{Method: method, Path: from, Status: status, Header: map[string]string{"Location": to}, Times: 1})
	}
	move("GET", 301, "/pulls/7$", "/repos/acme/store/pulls/7")
	if pull, err := w.client(t, workflow).Get(t.Context(), 7); err != nil || pull.Number != 7 {
		t.Errorf("a moved read: %v, %v", pull, err)
	}
	move("POST", 301, "/issues/7/comments$", "/repos/acme/store/issues/7/comments")
	_, err := w.client(t, workflow).Comment(t.Context(), 7, marker("1", "01A", "01A"), "text")
	if err == nil || !strings.Contains(err.Error(), "the repository has moved") || !strings.Contains(hint(err), "new name") {
		t.Errorf("a moved write: %v", err)
	}
	move("POST", 307, "/shop/issues/7/comments$", "/repos/acme/store/issues/7/comments")
	if _, err := w.client(t, workflow).Comment(t.Context(), 7, marker("1", "01A", "01A"), "text"); err != nil {
		t.Errorf("a moved write that keeps its method: %v", err)
	}
	if n := len(w.Comments("acme/store", 7)); n != 1 {
		t.Errorf("%d comments where the write was sent on to", n)
	}
}
