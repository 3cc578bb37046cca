// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/github/contract"
)

const commit = "3f2a9c1d0b7e4a5f8c6d9e0b1a2f3c4d5e6f7a8b"

// exchanges is every operation that the fake has, with its requests.
var exchanges = []struct {
	method, path, token, body string
	status                    int
}{
	{"GET", "/user", "ada", "", 200},
	{"GET", "/user", "app", "", 403},
	{"POST", "/repos/acme/shop/issues/7/comments", "app", `{"body":"hello"}`, 201},
	{"GET", "/repos/acme/shop/issues/7/comments?per_page=100&page=1", "app", "", 200},
	{"GET", "/repos/acme/shop/issues/comments/1001", "app", "", 200},
	{"PATCH", "/repos/acme/shop/issues/comments/1001", "app", `{"body":"again"}`, 200},
	{"DELETE", "/repos/acme/shop/issues/comments/1001", "app", "", 204},
	{"POST", "/repos/acme/shop/issues/7/comments", "app", `{"body":""}`, 422},
	{"POST", "/repos/acme/shop/issues/9/comments", "app", `{"body":"x"}`, 404},
	{"POST", "/repos/acme/shop/statuses/" + commit, "app", `{"state":"success","context":"c","description":"d","target_url":"https://ci.example"}`, 201},
	{"GET", "/repos/acme/shop/commits/" + commit + "/status?per_page=100", "app", "", 200},
	{"GET", "/repos/acme/shop/commits/" + commit + "/statuses", "app", "", 200},
	{"GET", "/repos/acme/shop/commits/" + commit + "/pulls?per_page=100", "app", "", 200},
	{"GET", "/repos/acme/shop/pulls/7", "app", "", 200},
	{"GET", "/repos/acme/shop/pulls/8", "app", "", 200},
	{"GET", "/repos/acme/shop/contents/.knowngood.yaml?ref=" + commit, "app", "", 200},
	{"GET", "/repos/acme/shop/pulls?state=open&sort=updated&direction=desc&per_page=100", "app", "", 200},
	{"POST", "/repos/acme/shop/check-runs", "app", `{"name":"c","head_sha":"` + commit + `","status":"in_progress"}`, 201},
	{"POST", "/repos/acme/shop/check-runs", "app", `{"name":"c","head_sha":"` + commit + `","status":"completed","conclusion":"failure","external_id":"x",` +
		`"details_url":"https://ci.example","output":{"title":"t","summary":"s","annotations":[` + annotation + `]}}`, 201},
	{"PATCH", "/repos/acme/shop/check-runs/1003", "app", `{"name":"c","status":"completed","conclusion":"neutral","output":{"summary":"s","annotations":[` + annotation + `]}}`, 200},
	{"GET", "/repos/acme/shop/check-runs/1003", "app", "", 200},
	{"GET", "/repos/acme/shop/check-runs/1003/annotations", "app", "", 200},
	{"GET", "/repos/acme/shop/commits/" + commit + "/check-runs?check_name=c&filter=all&per_page=100", "app", "", 200},
	{"POST", "/repos/acme/shop/check-runs", "app", `{"name":"c","head_sha":"` + commit + `","status":"completed"}`, 422},
	{"PATCH", "/repos/acme/shop/check-runs/9", "app", `{"name":"c"}`, 404},
	{"POST", "/repos/acme/shop/check-runs", "ada", `{"name":"c","head_sha":"` + commit + `"}`, 403},
	{"POST", "/repos/acme/shop/deployments", "app", `{"ref":"` + commit + `","task":"t","auto_merge":false,"required_contexts":[],"environment":"staging","payload":{"a":"b"},"description":"d"}`, 201},
	{"GET", "/repos/acme/shop/deployments?environment=staging&task=t&per_page=100", "app", "", 200},
	{"POST", "/repos/acme/shop/deployments/1006/statuses", "app", `{"state":"success","description":"d","log_url":"https://ci.example"}`, 201},
	{"GET", "/repos/acme/shop/deployments/1006/statuses?per_page=1", "app", "", 200},
	{"POST", "/repos/acme/shop/deployments/1006/statuses", "app", `{"state":"done"}`, 422},
}

const annotation = `{"path":"a.go","start_line":3,"end_line":3,"annotation_level":"failure","title":"t","message":"m"}`

func serve(t *testing.T) (*github.Server, string) {
	t.Helper()
	s := &github.Server{}
	s.AddToken("app", github.Token{Login: "bot[bot]", App: true, Scopes: github.Everything()})
	s.AddToken("ada", github.Token{Login: "ada", Scopes: github.Everything()})
	s.Apply(github.Setup{Repository: "acme/shop", Pulls: []github.Pull{
		{Number: 7, Head: commit}, {Number: 8, Head: strings.Repeat("8", 40), MergeCommit: commit},
	}})
	s.AddFile("acme/shop", commit, ".knowngood.yaml", "gate:\n")
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func contracts(t *testing.T) []*contract.Contract {
	t.Helper()
	all, err := contract.All(t.Context())
	if err != nil || len(all) < 2 {
		t.Fatalf("%d contracts, %v", len(all), err)
	}
	return all
}

func ask(t *testing.T, address, method, path, token, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestTheFakeSpeaksAsGitHubDoes(t *testing.T) {
	t.Parallel()
	for _, c := range contracts(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s, address := serve(t)
			s.Check = func(r *http.Request, sent []byte, status int, header http.Header, answer []byte) error {
				err := c.Check(r, sent, status, header, answer)
				if err != nil {
					t.Error(err)
				}
				return err
			}
			for _, x := range exchanges {
				if got := ask(t, address, x.method, x.path, x.token, x.body); got != x.status {
					t.Errorf("%s %s: %d, want %d", x.method, x.path, got, x.status)
				}
			}
		})
	}
}

func TestWhatGitHubDoesNotKnowIsFound(t *testing.T) {
	t.Parallel()
	c := contracts(t)[0]
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", "/repos/acme/shop/issues/7/comments", `{"body":"x","bodi":"y"}`, "bodi"},
		{"POST", "/repos/acme/shop/issues/7/comments", `{}`, "body"},
		{"POST", "/repos/acme/shop/statuses/" + commit, `{"state":"failed"}`, "state"},
		{"POST", "/repos/acme/shop/statuses/" + commit, `{"state":"success","contxt":"c"}`, "contxt"},
		{"GET", "/repos/acme/shop/issues/seven/comments", "", "issue_number"},
		{"GET", "/repos/acme/shop/issues/7/comments?per_page=many", "", "per_page"},
		{"PUT", "/repos/acme/shop/issues/7/comments", `{}`, "method not allowed"},
		{"GET", "/repos/acme/shop/nothing", "", "no matching operation"},
		{"POST", "/repos/acme/shop/check-runs", `{"head_sha":"` + commit + `"}`, "name"},
		{"POST", "/repos/acme/shop/check-runs", `{"name":"c","head_sha":"` + commit + `","conclusion":"passed"}`, "conclusion"},
		{"POST", "/repos/acme/shop/check-runs", `{"name":"c","head_sha":"` + commit + `","output":{"title":"t","summary":"s","anotations":[]}}`, "anotations"},
		{"PATCH", "/repos/acme/shop/check-runs/1", `{"output":{"summary":"s","annotations":[{"path":"a","start_line":1,"end_line":1,"annotation_level":"error","message":"m"}]}}`, "annotation_level"},
		{"PATCH", "/repos/acme/shop/check-runs/1", `{"output":{"summary":"s","annotations":[` + strings.Repeat(annotation+",", 50) + annotation + `]}}`, "maximum number of items"},
		{"PATCH", "/repos/acme/shop/check-runs/1", `{"output":{"summary":"s","annotations":[{"path":"a","start_line":1,"end_line":1,"annotation_level":"notice","mesage":"m"}]}}`, "mesage"},
		{"POST", "/repos/acme/shop/deployments", `{"environment":"production"}`, "ref"},
		{"POST", "/repos/acme/shop/deployments/1/statuses", `{"state":"done"}`, "state"},
	} {
		t.Run(fmt.Sprint(test.method, test.path, test.body), func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.body))
			request.Header.Set("Content-Type", "application/json")
			err := c.Check(request, []byte(test.body), 200, http.Header{"Content-Type": {"application/json"}}, []byte(`{}`))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Check() = %v, want %q in it", err, test.says)
			}
		})
	}
	request := httptest.NewRequestWithContext(t.Context(), "GET", "/repos/acme/shop/issues/comments/1", nil)
	err := c.Check(request, nil, 200, http.Header{"Content-Type": {"application/json"}}, []byte(`{"id":"one"}`))
	if err == nil || !strings.Contains(err.Error(), "answer 200") {
		t.Errorf("an answer that GitHub does not give: %v", err)
	}
}
