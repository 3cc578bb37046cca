// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	attempts     = 5
	requestLimit = 30 * time.Second
	answerLimit  = 32 << 20 // bytes of one answer; a page of 100 long comments is below 7 MB
	// secondaryWait is what GitHub asks for after a secondary limit that names no time.
	secondaryWait = time.Minute
)

// A Pause waits for d, or returns ctx's error when that ends before.
type Pause func(ctx context.Context, d time.Duration) error

func timer(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A transport adds the token and waits out what heals by waiting: rate limits for every method,
// a failing server or connection for requests that may be repeated. Another one may have been
// done by a server that then failed; whoever sent it finds out.
type transport struct {
	next     http.RoundTripper
	base     *url.URL
	token    string
	pause    Pause
	waiting  func(time.Duration, string)
	now      func() time.Time
	patience time.Duration
}

func (t *transport) defaults() {
	if t.pause == nil {
		t.pause = timer
	}
	if t.patience == 0 {
		t.patience = 2 * time.Minute
	}
}

func (t *transport) wait(ctx context.Context, d time.Duration, why string) error {
	if t.waiting != nil {
		t.waiting(d, why)
	}
	return t.pause(ctx, d)
}

// A limitError is a rate limit that lasts longer than there is patience.
type limitError struct {
	wait    time.Duration
	message string
}

func (e *limitError) Error() string {
	return fmt.Sprintf("GitHub asks to wait for %v (%q)", e.wait.Round(time.Second), e.message)
}

// A redirectError is a redirect that must not be followed.
type redirectError struct{ why string }

func (e *redirectError) Error() string { return e.why }

// redirect follows a redirect to the same server that keeps the method (a repository that was
// renamed); it never carries the token elsewhere, nor lets a write become a read.
func (t *transport) redirect(request *http.Request, via []*http.Request) error {
	switch {
	case !t.home(request.URL):
		return &redirectError{fmt.Sprintf("the server redirects to %q, which is another server", request.URL.Scheme+"://"+request.URL.Host)}
	case request.Method != via[0].Method:
		return &redirectError{"the server redirects a write in a way that would make it a read: the repository has moved"}
	case len(via) > 4:
		return &redirectError{"the server redirects in circles"}
	}
	return nil
}

// home tells whether a URL is of the API's own server.
func (t *transport) home(u *url.URL) bool { return u.Scheme == t.base.Scheme && u.Host == t.base.Host }

// RoundTrip sends a request as often as it may.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	left := t.patience
	for attempt := 1; ; attempt++ {
		response, err := t.once(request)
		wait, again := t.verdict(request, response, err, attempt)
		if !again {
			return response, err
		}
		if ctx.Err() != nil {
			discard(response)
			return nil, context.Cause(ctx)
		}
		limit := limitOf(response)
		discard(response)
		if attempt == attempts || wait > left || tooLate(ctx, t.now(), wait) {
			switch {
			case limit != "":
				return nil, &limitError{wait, limit}
			case err != nil:
				return nil, err
			}
			return nil, fmt.Errorf("the server answers %s, %d times", response.Status, attempt)
		}
		left -= wait
		if err := t.wait(ctx, wait, reason(limit, response, err)); err != nil {
			return nil, err
		}
	}
}

// reason tells what a wait is for.
func reason(limit string, response *http.Response, err error) string {
	switch {
	case limit != "":
		return "rate limit: " + limit
	case err != nil:
		return plain(err).Error()
	default:
		return "the server answers " + response.Status
	}
}

// once sends a copy of the request with the token, and reads the whole answer.
func (t *transport) once(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(request.Context(), requestLimit)
	defer cancel()
	one := request.Clone(ctx)
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		one.Body = body
	}
	one.Header.Del("Authorization")
	if t.token != "" && t.home(one.URL) {
		one.Header.Set("Authorization", "Bearer "+t.token)
	}
	response, err := t.next.RoundTrip(one)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && request.Context().Err() == nil {
			return nil, fmt.Errorf("no answer within %v", requestLimit)
		}
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	closing := response.Body.Close()
	if err = errors.Join(err, closing); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.Request = request
	if response.StatusCode < http.StatusMultipleChoices {
		// go-github would refuse to send the next request; whether that is too early is for
		// the server to say.
		response.Header.Del("X-RateLimit-Reset")
	}
	return response, nil
}

// verdict tells whether and when the request is sent again.
func (t *transport) verdict(request *http.Request, response *http.Response, err error, attempt int) (time.Duration, bool) {
	backoff := time.Second << (attempt - 1)
	backoff += time.Duration(rand.Int64N(int64(backoff / 4))) //nolint:gosec // spreads retries, guards nothing
	repeatable := repeatable(request)
	switch {
	case err != nil:
		return backoff, repeatable
	case limitOf(response) != "":
		if wait, ok := t.asked(response.Header); ok {
			return wait, true
		}
		return secondaryWait, true
	case response.StatusCode >= http.StatusInternalServerError && response.StatusCode != http.StatusNotImplemented:
		if wait, ok := t.asked(response.Header); ok {
			return wait, repeatable
		}
		return backoff, repeatable
	}
	return 0, false
}

// repeatable tells a request that may be done twice. An update of a check run may not: it adds
// its annotations to those that are there.
func repeatable(request *http.Request) bool {
	return request.Method != http.MethodPost &&
		(request.Method != http.MethodPatch || !strings.Contains(request.URL.Path, "/check-runs/"))
}

// limitOf returns what a rate limit says, or "" for any other answer.
func limitOf(response *http.Response) string {
	if response == nil {
		return ""
	}
	status := response.StatusCode
	if status != http.StatusTooManyRequests && status != http.StatusForbidden {
		return ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var said struct {
		Message          string `json:"message"`
		DocumentationURL string `json:"documentation_url"`
	}
	_ = json.Unmarshal(body, &said) // an answer without JSON says nothing
	limited := status == http.StatusTooManyRequests || response.Header.Get("X-RateLimit-Remaining") == "0" ||
		strings.Contains(strings.ToLower(said.Message), "secondary rate limit") ||
		strings.HasSuffix(said.DocumentationURL, "secondary-rate-limits") || strings.HasSuffix(said.DocumentationURL, "#abuse-rate-limits")
	switch {
	case !limited:
		return ""
	case said.Message == "":
		return response.Status
	case len(said.Message) > 300:
		return strings.ToValidUTF8(said.Message[:300], "")
	}
	return said.Message
}

// asked returns how long the server asks to wait: Retry-After, else until the limit's reset.
func (t *transport) asked(header http.Header) (time.Duration, bool) {
	if text := header.Get("Retry-After"); text != "" {
		if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(text); err == nil {
			return max(0, at.Sub(t.now())), true
		}
	}
	if header.Get("X-RateLimit-Remaining") == "0" {
		if at, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(time.Second, time.Unix(at, 0).Sub(t.now())+time.Second), true
		}
	}
	return 0, false
}

func tooLate(ctx context.Context, now time.Time, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && now.Add(wait).After(deadline)
}

func discard(response *http.Response) {
	if response != nil {
		_ = response.Body.Close() // it is in memory
	}
}
