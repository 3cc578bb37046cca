// SPDX-License-Identifier: Apache-2.0

// Package pullrequest writes to GitHub: one comment on a pull request that is kept up to date,
// check runs with annotations, commit statuses and deployments; and it finds the pull request
// that a commit belongs to. Gitea and Forgejo speak the same language as far as comments,
// statuses and pull requests go.
//
// The one idea: every write can be repeated. A comment is known by a hidden marker and by its
// author, so a second run updates it instead of adding another; an older run never overwrites a
// newer one; two runs that write at once end with one comment. Whatever the server says that
// cannot heal is an error with the permission or the setting that is missing.
//
// The token is sent to the server of the API alone, never to where a redirect points. What the
// texts say is package report's matter.
package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/knowngood/knowngood/pkg/fault"
)

// DefaultAPI is where GitHub's own API lies.
const DefaultAPI = "https://api.github.com"

// Options say whom to speak to, and as whom.
type Options struct {
	// API is the base of the REST API: https://api.github.com (the default),
	// https://HOST/api/v3 for GitHub Enterprise Server. Plain http is for loopback alone.
	API string
	// Token may be "" for a public repository, of which it can only read.
	Token string
	// Repository is owner/name.
	Repository string
	// Agent names the program to the server; "" is "knowngood".
	Agent string
	// Client is used for its Transport and Jar; nil is Go's default, with proxies by environment.
	Client *http.Client
	// Pause waits between attempts and ends early with ctx's error; nil uses a timer.
	Pause Pause
	// Waiting, when set, hears of each wait before it begins, and what it is for.
	Waiting func(d time.Duration, why string)
	// Now is the clock that tells how long a rate limit lasts; it must be given.
	Now func() time.Time
	// Patience is the longest that one request waits for rate limits and a failing server,
	// all attempts together; 0 is two minutes.
	Patience time.Duration
}

// A Client speaks to one repository.
type Client struct {
	owner, name string
	api         *github.Client
	base        *url.URL
	wait        func(ctx context.Context, d time.Duration, why string) error
}

var repositoryForm = regexp.MustCompile(`^([A-Za-z0-9_.-]{1,100})/([A-Za-z0-9_.-]{1,100})$`)

// New returns a client. It asks the server nothing; a wrong address, repository or form of the
// token is an error of usage.
func New(o Options) (*Client, error) {
	names := repositoryForm.FindStringSubmatch(o.Repository)
	if names == nil || strings.Trim(names[1], ".") == "" || strings.Trim(names[2], ".") == "" {
		return nil, fault.Hint(fault.Usagef("repository %.80q: want owner/name", o.Repository),
			"give --source-repository, e.g. --source-repository acme/shop")
	}
	base, err := baseOf(o.API)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fault.Usagef("the token has blanks, line breaks or other characters that no token has")
	}
	transport := &transport{
		next: http.DefaultTransport, base: base, token: o.Token,
		pause: o.Pause, waiting: o.Waiting, now: o.Now, patience: o.Patience,
	}
	client := &http.Client{Transport: transport, CheckRedirect: transport.redirect}
	if o.Client != nil {
		client.Jar = o.Client.Jar
		if o.Client.Transport != nil {
			transport.next = o.Client.Transport
		}
	}
	transport.defaults()
	api := github.NewClient(client)
	api.BaseURL, api.UploadURL = base, base
	api.UserAgent = "knowngood"
	if o.Agent != "" {
		api.UserAgent = o.Agent
	}
	return &Client{owner: names[1], name: names[2], api: api, base: base, wait: transport.wait}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.api.Client().CloseIdleConnections() }

func (c *Client) repository() string { return c.owner + "/" + c.name }

// baseOf checks the API's address and gives it the slash at its end that relative paths need.
func baseOf(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultAPI
	}
	base, err := url.Parse(text)
	switch {
	case err != nil || base.Host == "" || base.Opaque != "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fault.Hint(fault.Usagef("address of GitHub's API %.200q: want a URL", redacted(text)),
			"for example %s, or https://HOST/api/v3 for GitHub Enterprise Server", DefaultAPI)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fault.Usagef("address of GitHub's API %q: want no user, query or fragment in it", base.Redacted())
	case base.Scheme == "http" && !loopback(base.Hostname()):
		return nil, fault.Hint(fault.Usagef("address of GitHub's API %q: the token would travel in clear text", base.String()),
			"use https; plain http is for loopback addresses alone")
	}
	base.Path = strings.TrimRight(base.Path, "/") + "/"
	base.RawPath = ""
	return base, nil
}

// redacted hides what may be a password in a text that is no URL.
func redacted(text string) string {
	if _, rest, found := strings.Cut(text, "@"); found {
		return "***@" + rest
	}
	return text
}

func loopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || address != nil && address.IsLoopback()
}

// Server returns where people look at the repositories of an API's server: https://github.com
// for https://api.github.com, https://HOST for https://HOST/api/v3. "" when the address is none.
func Server(api string) string {
	base, err := baseOf(api)
	if err != nil {
		return ""
	}
	if base.Host == "api.github.com" {
		return "https://github.com"
	}
	if host, ok := strings.CutPrefix(base.Host, "api."); ok && strings.HasSuffix(host, ".ghe.com") {
		return "https://" + host
	}
	path := strings.TrimSuffix(base.Path, "/")
	for _, version := range []string{"/api/v3", giteaPath} { // Gitea may live below a path
		path = strings.TrimSuffix(path, version)
	}
	return base.Scheme + "://" + base.Host + path
}

const giteaPath = "/api/v1"

// Gitea tells whether an API is Gitea's or Forgejo's, by its address.
func Gitea(api string) bool {
	base, err := baseOf(api)
	return err == nil && strings.HasSuffix(base.Path, giteaPath+"/")
}

// Sentinels for branching. An error of this package wraps at most one of them.
var (
	// ErrUnauthorized: the server does not know the token (401).
	ErrUnauthorized = errors.New("the token is not accepted")
	// ErrForbidden: the token may not do this (403); the error names the permission.
	ErrForbidden = errors.New("the token may not do this")
	// ErrNotFound: there is no such thing, or the token may not know of it (404, 410).
	ErrNotFound = errors.New("not found")
	// ErrNoPullRequest: no pull request has the commit.
	ErrNoPullRequest = errors.New("no pull request")
	// ErrRejected: the server refuses what was sent (400, 422).
	ErrRejected = errors.New("refused as invalid")
	// ErrLimited: a rate limit asks for more patience than there is.
	ErrLimited = errors.New("rate limit")
	// ErrUnavailable: the server cannot be reached or fails (5xx), at every attempt.
	ErrUnavailable = errors.New("not available")
)

// explain makes an error of the API one that a person can act on. doing says what was tried and
// to what; scope is the permission that it needs, e.g. "pull-requests: write".
func (c *Client) explain(err error, doing, scope string) error {
	if err == nil {
		return nil
	}
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		return c.explainAnswer(answer, doing, scope)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	}
	var limited *limitError
	if errors.As(err, &limited) {
		return fault.Hint(fmt.Errorf("%s: %w: %w", doing, ErrLimited, limited),
			"run the step again later, or with a token that asks less often")
	}
	var moved *redirectError
	if errors.As(err, &moved) {
		return fault.Hint(fmt.Errorf("%s: %w", doing, moved), "give the repository's new name, or the API's new address")
	}
	var second *github.TwoFactorAuthError
	if errors.As(err, &second) {
		return fmt.Errorf("%s: %w: the server asks for a second factor", doing, ErrUnauthorized)
	}
	return fault.Hint(fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, plain(err)),
		"check that %s is the address of the API and can be reached from here", c.base)
}

func (c *Client) explainAnswer(answer *github.ErrorResponse, doing, scope string) error {
	status, message := answer.Response.StatusCode, said(answer)
	wrap := func(sentinel error) error {
		return fmt.Errorf("%s: %w (%d %q)", doing, sentinel, status, message)
	}
	switch {
	case status == http.StatusUnauthorized:
		return fault.Hint(wrap(ErrUnauthorized), "check that the token is whole, has not expired, and is for %s", c.base.Host)
	case status == http.StatusForbidden && answer.Response.Header.Get("X-GitHub-SSO") != "":
		return fault.Hint(wrap(ErrForbidden), "authorize the token for the organisation's single sign-on")
	case status == http.StatusForbidden && strings.Contains(message, "locked"):
		return fault.Hint(wrap(ErrForbidden), "the conversation is locked: unlock it, or use --comment never")
	case status == http.StatusForbidden:
		if needed := answer.Response.Header.Get("X-Accepted-GitHub-Permissions"); permissionForm.MatchString(needed) {
			needed = strings.ReplaceAll(strings.ReplaceAll(needed, "_", "-"), "=", ": ")
			// A read that is refused before a write asks for less than what is needed in the end.
			if name, _, _ := strings.Cut(scope, ": "); needed != name+": read" {
				scope = needed
			}
		}
		return fault.Hint(wrap(ErrForbidden), "grant the token %s on %s (in a workflow: permissions:); "+
			"the tokens of pull requests from forks can only read", scope, c.repository())
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.Hint(wrap(ErrNotFound), "check the repository %s, the number, and that %s is the address of the API; "+
			"the server also says this when the token may not see the repository (%s)", c.repository(), c.base, scope)
	case status < http.StatusInternalServerError:
		return wrap(ErrRejected)
	default:
		return wrap(ErrUnavailable)
	}
}

var permissionForm = regexp.MustCompile(`^[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+)*$`)

// said is what the server says went wrong, in one short line.
func said(answer *github.ErrorResponse) string {
	parts := []string{answer.Message}
	for _, e := range answer.Errors {
		if e.Message != "" {
			parts = append(parts, e.Message)
		}
	}
	text := strings.Join(parts, ": ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// plain drops the URL from a transport's error: the sentence around it names the thing already.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
