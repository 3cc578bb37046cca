// SPDX-License-Identifier: Apache-2.0

package github_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
)

const commit = "3f2a9c1d0b7e4a5f8c6d9e0b1a2f3c4d5e6f7a8b"

func serve(t *testing.T) (*github.Server, func(method, path, token, body string) (int, http.Header, map[string]any)) {
	t.Helper()
	s := &github.Server{}
	s.AddToken("app", github.Token{Login: "bot[bot]", App: true, Scopes: github.Everything()})
	s.AddToken("ada", github.Token{Login: "ada", Scopes: github.Everything()})
	s.AddToken("reader", github.Token{Login: "bot[bot]", App: true, Scopes: map[string]github.Access{"pull-requests": github.Read}})
	s.Apply(github.Setup{Repository: "acme/shop", Pulls: []github.Pull{{Number: 7, Head: commit}}})
	s.AddFile("acme/shop", commit, ".knowngood.yaml", "gate:\n")
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, func(method, path, token, body string) (int, http.Header, map[string]any) {
		t.Helper()
		return ask(t, server, method, path, token, body)
	}
}

// ask uses the server's own client: closing a server closes the idle connections of the default one.
func ask(t *testing.T, server *httptest.Server, method, path, token, body string) (int, http.Header, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(data, []byte("[")) {
		data = fmt.Appendf(nil, `{"list":%s}`, data)
	}
	answer := map[string]any{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return response.StatusCode, response.Header, answer
}

func TestItRefusesWhatGitHubRefuses(t *testing.T) {
	t.Parallel()
	_, ask := serve(t)
	comments := "/repos/acme/shop/issues/7/comments"
	body := func(text string) string { return fmt.Sprintf(`{"body":%q}`, text) }
	status := func(state string, length int) string {
		return fmt.Sprintf(`{"state":%q,"context":"c","description":%q}`, state, strings.Repeat("d", length))
	}
	for _, test := range []struct {
		method, path, token, body string
		want                      int
	}{
		{"POST", comments, "", body("x"), 401},
		{"POST", comments, "wrong", body("x"), 401},
		{"GET", comments, "wrong", "", 401},
		{"POST", comments, "reader", body("x"), 403},
		{"POST", comments, "app", "{", 400},
		{"POST", comments, "app", body(" "), 422},
		{"POST", comments, "app", body(strings.Repeat("x", 65537)), 422},
		{"POST", comments, "app", body(strings.Repeat("x", 65536)), 201},
		{"POST", "/repos/acme/shop/issues/8/comments", "app", body("x"), 404},
		{"POST", "/repos/acme/other/issues/7/comments", "app", body("x"), 404},
		{"PATCH", "/repos/acme/shop/issues/comments/9", "app", body("x"), 404},
		{"DELETE", "/repos/acme/shop/issues/comments/1001", "reader", "", 403},
		{"DELETE", "/repos/acme/shop/issues/comments/1001", "app", "", 204},
		{"GET", "/repos/acme/shop/issues/comments/1001", "app", "", 404},
		{"POST", "/repos/acme/shop/statuses/" + commit, "app", status("success", 140), 201},
		{"POST", "/repos/acme/shop/statuses/" + commit, "app", status("success", 141), 422},
		{"POST", "/repos/acme/shop/statuses/" + commit, "app", status("failed", 1), 422},
		{"POST", "/repos/acme/shop/statuses/" + strings.Repeat("0", 40), "app", status("success", 1), 422},
		{"POST", "/repos/acme/shop/statuses/" + commit, "reader", status("success", 1), 403},
		{"GET", "/repos/acme/shop/commits/" + strings.Repeat("0", 40) + "/pulls", "app", "", 422},
		{"GET", "/user", "ada", "", 200},
		{"GET", "/user", "app", "", 403},
		{"GET", "/repos/acme/shop/check-runs/1", "app", "", 404},
		{"POST", "/repos/acme/shop/check-runs", "app", `{"name":"c","head_sha":"` + commit + `","status":"completed"}`, 422},
		{"POST", "/repos/acme/shop/check-runs", "app", `{"name":"c","head_sha":"` + commit + `","status":"completed","conclusion":"neutral"}`, 201},
		{"POST", "/repos/acme/shop/check-runs", "reader", `{"name":"c","head_sha":"` + commit + `","status":"completed","conclusion":"neutral"}`, 403},
		{"GET", "/repos/acme/shop/contents/.knowngood.yaml?ref=" + commit, "app", "", 200},
		{"GET", "/repos/acme/shop/contents/.knowngood.yaml?ref=main", "app", "", 404},
		{"GET", "/repos/acme/shop/contents/.knowngood.yaml?ref=" + commit, "reader", "", 403},
	} {
		if got, _, answer := ask(test.method, test.path, test.token, test.body); got != test.want {
			t.Errorf("%s %s as %q: %d %v, want %d", test.method, test.path, test.token, got, answer["message"], test.want)
		}
	}
}

func TestItPages(t *testing.T) {
	t.Parallel()
	s, ask := serve(t)
	for i := range 65 {
		s.AddComment("acme/shop", 7, "ada", false, fmt.Sprint(i))
	}
	for _, test := range []struct {
		query string
		items int
		next  string
	}{
		{"", 30, "page=2"},
		{"?page=3", 5, ""},
		{"?per_page=100", 65, ""},
		{"?per_page=40", 40, "page=2&per_page=40"},
		{"?page=9", 0, ""},
	} {
		_, header, answer := ask("GET", "/repos/acme/shop/issues/7/comments"+test.query, "app", "")
		items := answer["list"].([]any)
		link := header.Get("Link")
		if len(items) != test.items || strings.Contains(link, `rel="next"`) != (test.next != "") || !strings.Contains(link, test.next) {
			t.Errorf("%q: %d items, Link %s; want %d and next %q", test.query, len(items), link, test.items, test.next)
		}
	}
}

func TestItIsAnEnterpriseServerToo(t *testing.T) {
	t.Parallel()
	_, ask := serve(t)
	status, _, answer := ask("GET", "/api/v3/repos/acme/shop/pulls/7", "app", "")
	if status != 200 || !strings.Contains(answer["url"].(string), "/api/v3/repos/acme/shop/pulls/7") {
		t.Errorf("%d %v", status, answer["url"])
	}
	status, _, answer = ask("POST", "/api/graphql", "app", `{"query":"query { viewer { login } }"}`)
	if login := fmt.Sprint(answer["data"]); status != 200 || login != "map[viewer:map[login:bot[bot]]]" {
		t.Errorf("%d %v", status, login)
	}
}

func TestItFailsOnDemand(t *testing.T) {
	t.Parallel()
	s, ask := serve(t)
	s.Fail(github.Fault{Method: "POST", Path: "/comments$", Status: 502, After: true}, github.Throttled("3"))
	if status, _, _ := ask("POST", "/repos/acme/shop/issues/7/comments", "app", `{"body":"x"}`); status != 502 {
		t.Errorf("status %d", status)
	}
	if n := len(s.Comments("acme/shop", 7)); n != 1 {
		t.Errorf("%d comments: the work is to be done before the answer is lost", n)
	}
	status, header, _ := ask("GET", "/user", "ada", "")
	if status != 403 || header.Get("Retry-After") != "3" {
		t.Errorf("%d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if status, _, _ := ask("GET", "/user", "ada", ""); status != 200 {
		t.Errorf("a fault that was met is met again: %d", status)
	}
}

func TestItShowsItsState(t *testing.T) {
	t.Parallel()
	_, ask := serve(t)
	setup := `{"repository":"acme/web","pull_requests":[{"number":2,"head":"` + commit + `"}],"faults":[{"status":500,"path":"/user$"}]}`
	if status, _, _ := ask("POST", "/_fake/setup", "", setup); status != 204 {
		t.Fatalf("setup: %d", status)
	}
	ask("POST", "/repos/acme/web/issues/2/comments", "ada", `{"body":"hello"}`)
	_, _, state := ask("GET", "/_fake/state", "", "")
	repositories := state["repositories"].(map[string]any)
	comments := repositories["acme/web"].(map[string]any)["comments"].([]any)
	if len(comments) != 1 || comments[0].(map[string]any)["login"] != "ada" || strings.Contains(fmt.Sprint(state), "reader") {
		t.Errorf("state %v", state)
	}
	if status, _, _ := ask("GET", "/user", "ada", ""); status != 500 {
		t.Errorf("the fault of the setup: %d", status)
	}
}
