// SPDX-License-Identifier: Apache-2.0

package pullrequest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/pullrequest"
	"github.com/knowngood/knowngood/test/github"
)

// comment tries to write and returns the error.
func comment(t *testing.T, c *pullrequest.Client, number int) error {
	t.Helper()
	_, err := c.Comment(t.Context(), number, marker("1", "01A", "01A"), "text")
	return err
}

func TestWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, token string
		prepare     func(*world)
		number      int
		is          error
		says, hints string
	}{
		{
			name: "wrong token", token: "ghp_expired", is: pullrequest.ErrUnauthorized,
			says:  `comment on pull request acme/shop#7: the token is not accepted (401 "Bad credentials")`,
			hints: "check that the token is whole, has not expired, and is for 127.0.0.1",
		},
		{
			name: "no token", token: "", is: pullrequest.ErrUnauthorized,
			says: `comment on pull request acme/shop#7: the token is not accepted (401 "Requires authentication")`,
		},
		{
			name: "a fork's token", token: reader, is: pullrequest.ErrForbidden,
			says:  `comment on pull request acme/shop#7: the token may not do this (403 "Resource not accessible by integration")`,
			hints: "grant the token pull-requests: write on acme/shop (in a workflow: permissions:); the tokens of pull requests from forks can only read",
		},
		{
			name: "no such pull request", token: workflow, number: 8, is: pullrequest.ErrNotFound,
			says:  `comment on pull request acme/shop#8: not found (404 "Not Found")`,
			hints: "check the repository acme/shop, the number, and that http://127.0.0.1",
		},
		{
			name: "locked", token: workflow, is: pullrequest.ErrForbidden,
			prepare: func(w *world) { w.AddPull(repository, github.Pull{Number: 7, Head: head, Locked: true}) },
			says:    `403 "Unable to create comment because issue is locked"`, hints: "unlock it, or use --comment never",
		},
		{
			name: "single sign-on", token: person, is: pullrequest.ErrForbidden,
			prepare: func(w *world) {
				w.Fail(github.Fault{
					Path: "/comments$", Status: 403, Header: map[string]string{"X-GitHub-SSO": "required; url=https://x.example"},
					Body: `{"message":"Resource protected by organization SAML enforcement."}`,
				})
			},
			says: "SAML", hints: "authorize the token for the organisation's single sign-on",
		},
		{
			name: "refused", token: workflow, is: pullrequest.ErrRejected,
			prepare: func(w *world) {
				w.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 422, Body: `{"message":"Validation Failed","errors":[{"message":"Body is strange\nand long"}]}`})
			},
			says: `refused as invalid (422 "Validation Failed: Body is strange\nand long")`,
		},
		{
			name: "not an API", token: workflow, is: pullrequest.ErrUnavailable,
			prepare: func(w *world) { w.Fail(github.Fault{Path: ".", Status: 200, Body: "<html>log in", Times: 9}) },
			says:    "not available: invalid character '<'", hints: "check that http://127.0.0.1",
		},
		{
			name: "always failing", token: workflow, is: pullrequest.ErrUnavailable,
			prepare: func(w *world) { w.Fail(github.Fault{Path: "/comments$", Status: 503, Times: 99}) },
			says:    "not available: the server answers 503 Service Unavailable, 5 times",
		},
		{
			name: "never writing", token: workflow, is: pullrequest.ErrUnavailable,
			prepare: func(w *world) { w.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 502, Times: 99}) },
			says:    `not available (502 "Bad Gateway")`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.prepare != nil {
				test.prepare(w)
			}
			if test.number == 0 {
				test.number = 7
			}
			err := comment(t, w.client(t, test.token), test.number)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !strings.Contains(hint(err), test.hints) {
				t.Errorf("error %v\nhint %s\nwant %v: %s\nhint %s", err, hint(err), test.is, test.says, test.hints)
			}
			if err != nil && test.token != "" && strings.Contains(err.Error()+hint(err), test.token) {
				t.Errorf("the token shows in %v", err)
			}
		})
	}
}

func TestACommentThatCannotBeUpdatedIsNotPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	post(t, w.client(t, workflow), marker("1", "01A", "01A"), "first")
	posted, err := w.client(t, reader).Comment(t.Context(), 7, marker("2", "01B", "01B"), "second")
	if !errors.Is(err, pullrequest.ErrForbidden) || posted.URL != "" {
		t.Errorf("%+v, %v", posted, err)
	}
}

func TestWhatHealsIsWaitedFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	reset := map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Add(40*time.Second).Unix(), 10)}
	date := map[string]string{"Retry-After": now.Add(20 * time.Second).Format(http.TimeFormat)}
	for _, test := range []struct {
		name   string
		faults []github.Fault
		waits  []time.Duration // rounded down to seconds
	}{
		{"server error at a read", []github.Fault{{Method: "GET", Path: "/comments$", Status: 502}}, []time.Duration{1}},
		{"server errors at a read", []github.Fault{{Method: "GET", Path: "/comments$", Status: 500, Times: 3}}, []time.Duration{1, 2, 4}},
		{"too many requests", []github.Fault{{Method: "POST", Path: "/comments$", Status: 429, Header: map[string]string{"Retry-After": "7"}}}, []time.Duration{7}},
		{"too many requests until a date", []github.Fault{{Method: "POST", Path: "/comments$", Status: 429, Header: date}}, []time.Duration{20}},
		{"secondary limit", []github.Fault{github.Throttled("9")}, []time.Duration{9}},
		{"secondary limit without a time", []github.Fault{github.Throttled("")}, []time.Duration{60}},
		{"primary limit", []github.Fault{{Path: "/comments$", Status: 403, Header: reset, Body: `{"message":"API rate limit exceeded"}`}}, []time.Duration{41}},
		{"maintenance", []github.Fault{{Method: "GET", Status: 503, Header: map[string]string{"Retry-After": "12"}}}, []time.Duration{12}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Fail(test.faults...)
			options := w.options(workflow)
			options.Now = func() time.Time { return now }
			heard := 0
			options.Waiting = func(_ time.Duration, why string) {
				if heard++; why == "" {
					t.Error("a wait for nothing")
				}
			}
			c := newClient(t, options)
			if err := comment(t, c, 7); err != nil {
				t.Fatal(err)
			}
			var seconds []time.Duration
			for _, d := range w.waits {
				seconds = append(seconds, d/time.Second)
			}
			if !slices.Equal(seconds, test.waits) {
				t.Errorf("waited %v, want about %v", w.waits, test.waits)
			}
			if n := len(w.Comments(repository, 7)); n != 1 || heard != len(test.waits) {
				t.Errorf("%d comments, and %d waits were told", n, heard)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(github.Fault{Path: "/comments$", Status: 429, Header: map[string]string{"Retry-After": "3600"}, Body: `{"message":"slow down"}`})
	err := comment(t, w.client(t, workflow), 7)
	want := `comment on pull request acme/shop#7: rate limit: GitHub asks to wait for 1h0m0s ("slow down")`
	if !errors.Is(err, pullrequest.ErrLimited) || err.Error() != want || len(w.waits) > 0 {
		t.Errorf("error %v after waits %v, want %s", err, w.waits, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	w.Fail(github.Throttled("30"))
	_, err = w.client(t, workflow).Get(ctx, 7)
	if !errors.Is(err, pullrequest.ErrLimited) || len(w.waits) > 0 {
		t.Errorf("a wait beyond the deadline: %v after waits %v", err, w.waits)
	}
}

func TestALastRequestBeforeALimitDoesNotStopTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	spent := map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)}
	w.Fail(github.Fault{Path: "/pulls/7$", Status: 200, Body: `{"number":7}`, Header: spent})
	c := w.client(t, workflow)
	for range 2 {
		if _, err := c.Get(t.Context(), 7); err != nil {
			t.Error(err)
		}
	}
}

func TestNobodyAtTheAddress(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	options := w.options(workflow)
	options.API = "http://" + address
	err = comment(t, newClient(t, options), 7)
	if !errors.Is(err, pullrequest.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") || len(w.waits) != 4 {
		t.Errorf("error %v after waits %v", err, w.waits)
	}
}
