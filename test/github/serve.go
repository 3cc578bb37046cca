// SPDX-License-Identifier: Apache-2.0

package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// An exchange is one request with what is known of who asks.
type exchange struct {
	*http.Request
	base  string // where the API lies, e.g. http://127.0.0.1:4000
	body  []byte
	token Token
	known bool
	answer
}

// An answer is what is sent back: value as JSON, or raw as it is.
type answer struct {
	status int
	header http.Header
	value  any
	raw    []byte
}

// fail makes the answer an error as GitHub words them.
func (a *answer) fail(status int, message string) {
	a.status, a.raw = status, nil
	a.value = map[string]any{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	}
}

// invalid makes the answer a 422 about one field.
func (a *answer) invalid(resource, field, code, message string) {
	a.status, a.raw = http.StatusUnprocessableEntity, nil
	a.value = map[string]any{
		"message":           "Validation Failed",
		"errors":            []any{map[string]any{"resource": resource, "field": field, "code": code, "message": message}},
		"documentation_url": "https://docs.github.com/rest",
		"status":            "422",
	}
}

// ServeHTTP answers as api.github.com does; with a path below /api/v3, as a GitHub Enterprise
// Server does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_fake/") {
		s.own(w, r)
		return
	}
	if s.conversation(w, r) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	x := &exchange{Request: r, body: body, base: "http://" + r.Host}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/v3"); ok {
		x.base += "/api/v3"
		r.URL.Path = rest
	} else if r.URL.Path == "/api/graphql" {
		r.URL.Path = "/graphql"
	}
	x.header = http.Header{}
	secret := strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "token ")
	s.mu.Lock()
	x.token, x.known = s.state.Tokens[secret]
	s.mu.Unlock()
	fault := s.meet(r)
	if fault == nil || fault.After {
		s.route(x, secret)
	}
	if fault != nil {
		fault.answer(&x.answer)
	}
	s.send(w, x, fault != nil)
}

func (s *Server) route(x *exchange, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case secret == "" && x.Method != http.MethodGet:
		x.fail(http.StatusUnauthorized, "Requires authentication")
	case secret != "" && !x.known:
		x.fail(http.StatusUnauthorized, "Bad credentials")
	default:
		s.dispatch(x)
	}
}

func (s *Server) send(w http.ResponseWriter, x *exchange, faulty bool) {
	body := x.raw
	if body == nil && x.value != nil {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(x.value); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = b.Bytes()
	}
	x.limits()
	if s.Check != nil && !faulty {
		if err := s.Check(x.Request, x.body, x.status, x.header, body); err != nil {
			x.status, body = http.StatusInternalServerError, fmt.Appendf(nil, `{"message":%q}`, "against GitHub's description: "+err.Error())
		}
	}
	for name, values := range x.header {
		w.Header()[name] = values
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{
		Method: x.Method, Path: x.URL.Path, Query: x.URL.RawQuery, Status: x.status,
		Agent: x.UserAgent(), Login: x.token.Login,
	})
	s.mu.Unlock()
	w.WriteHeader(x.status)
	_, _ = w.Write(body) // the client may have gone; the request is recorded
}

// limits adds the headers that every answer of GitHub bears.
func (x *exchange) limits() {
	set := func(name, value string) {
		if x.header.Get(name) == "" {
			x.header.Set(name, value)
		}
	}
	set("Content-Type", "application/json; charset=utf-8")
	set("X-RateLimit-Limit", "5000")
	set("X-RateLimit-Remaining", "4999")
	set("X-RateLimit-Resource", "core")
}

// page cuts a list to the page that was asked for and links to the others.
func page[T any](x *exchange, list []T) []T {
	size, number := 30, 1
	if n, err := strconv.Atoi(x.URL.Query().Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(x.URL.Query().Get("page")); err == nil && n > 0 {
		number = n
	}
	last := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(rel string, to int) {
		query := x.URL.Query()
		query.Set("page", strconv.Itoa(to))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel=%q`, x.base, x.URL.Path, query.Encode(), rel))
	}
	if number < last {
		link("next", number+1)
		link("last", last)
	}
	if number > 1 {
		link("prev", number-1)
		link("first", 1)
	}
	if len(links) > 0 {
		x.header.Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}

// may tells whether the token has access to a scope; if not, the answer says so as GitHub does.
func (x *exchange) may(scope string, access Access) bool {
	has := x.token.Scopes[scope]
	if has == Write || has == access {
		return true
	}
	if access == Read && (scope == "pull-requests" || scope == "contents") && !x.known {
		return true // a public repository
	}
	x.header.Set("X-Accepted-GitHub-Permissions", strings.ReplaceAll(scope, "-", "_")+"="+string(access))
	kind := "integration"
	if !x.token.App {
		kind = "personal access token"
	}
	x.fail(http.StatusForbidden, "Resource not accessible by "+kind)
	return false
}

var errEmpty = errors.New("the body is empty")

// decode reads the request's body; a body that is no JSON object is a 400.
func (x *exchange) decode(into any) bool {
	err := errEmpty
	if len(x.body) > 0 {
		err = json.Unmarshal(x.body, into)
	}
	if err != nil {
		x.fail(http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}
