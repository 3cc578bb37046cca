// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A CheckRun is one check run of a commit. Only the app that made it may change it.
type CheckRun struct {
	ID          int64        `json:"id"`
	Commit      string       `json:"commit"`
	Name        string       `json:"name"`
	Status      string       `json:"status"`
	Conclusion  string       `json:"conclusion,omitempty"`
	External    string       `json:"external_id,omitempty"`
	DetailsURL  string       `json:"details_url,omitempty"`
	Title       string       `json:"title,omitempty"`
	Summary     string       `json:"summary,omitempty"`
	Text        string       `json:"text,omitempty"`
	Annotations []Annotation `json:"annotations,omitempty"`
	Login       string       `json:"login"`
	Started     time.Time    `json:"started"`
	Completed   time.Time    `json:"completed,omitzero"`
}

// An Annotation is one place that a check run points out.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column,omitempty"`
	EndColumn   *int   `json:"end_column,omitempty"`
	Level       string `json:"annotation_level"`
	Title       string `json:"title,omitempty"`
	Message     string `json:"message"`
	RawDetails  string `json:"raw_details,omitempty"`
}

// checkRequest is what is asked of a check run; what is absent stays as it is.
type checkRequest struct {
	Name       *string `json:"name"`
	HeadSHA    string  `json:"head_sha"`
	Status     *string `json:"status"`
	Conclusion *string `json:"conclusion"`
	External   *string `json:"external_id"`
	DetailsURL *string `json:"details_url"`
	Output     *struct {
		Title       *string      `json:"title"`
		Summary     *string      `json:"summary"`
		Text        *string      `json:"text"`
		Annotations []Annotation `json:"annotations"`
	} `json:"output"`
}

// CheckRuns returns the check runs of a commit, oldest first.
func (s *Server) CheckRuns(repository, commit string) []CheckRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []CheckRun
	for _, run := range s.repo(repository).Checks {
		if run.Commit == commit {
			copied := *run
			copied.Annotations = slices.Clone(run.Annotations)
			runs = append(runs, copied)
		}
	}
	return runs
}

// mayCheck tells whether the token may write check runs, which are for apps.
func (x *exchange) mayCheck() bool {
	if x.known && !x.token.App {
		x.fail(http.StatusForbidden, "You must authenticate via a GitHub App.")
		return false
	}
	return x.may("checks", Write)
}

func (s *Server) createCheckRun(x *exchange, groups []string) {
	r := s.repo(groups[1])
	var in checkRequest
	if !x.mayCheck() || !x.decode(&in) {
		return
	}
	switch {
	case in.Name == nil || *in.Name == "":
		x.invalid("CheckRun", "name", "missing_field", "name wasn't supplied")
		return
	case !r.Commits[in.HeadSHA]:
		x.fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+in.HeadSHA)
		return
	}
	run := &CheckRun{ID: s.id(), Commit: in.HeadSHA, Status: "queued", Login: x.token.Login, Started: s.now()}
	if s.change(x, run, in) {
		r.Checks = append(r.Checks, run)
		x.status, x.value = http.StatusCreated, x.checkRun(groups[1], run)
	}
}

func (s *Server) updateCheckRun(x *exchange, groups []string) {
	r := s.repo(groups[1])
	at := slices.IndexFunc(r.Checks, func(run *CheckRun) bool { return strconv.FormatInt(run.ID, 10) == groups[2] })
	var in checkRequest
	switch {
	case at < 0:
		x.fail(http.StatusNotFound, "Not Found")
	case !x.mayCheck() || !x.decode(&in):
	case r.Checks[at].Login != x.token.Login:
		x.fail(http.StatusForbidden, "Invalid app_id `1` - check run can only be modified by the GitHub App that created it.")
	default:
		run := *r.Checks[at]
		if s.change(x, &run, in) {
			r.Checks[at] = &run
			x.status, x.value = http.StatusOK, x.checkRun(groups[1], &run)
		}
	}
}

// change makes a check run as it is asked for, or refuses as GitHub does.
func (s *Server) change(x *exchange, run *CheckRun, in checkRequest) bool {
	for to, from := range map[*string]*string{
		&run.Name: in.Name, &run.Status: in.Status, &run.External: in.External, &run.DetailsURL: in.DetailsURL,
	} {
		if from != nil {
			*to = *from
		}
	}
	if in.Conclusion != nil {
		run.Conclusion, run.Status, run.Completed = *in.Conclusion, "completed", s.now()
	}
	conclusions := []string{"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
	switch {
	case run.Status == "completed" && run.Conclusion == "":
		x.invalid("CheckRun", "conclusion", "missing_field", "conclusion is required when status is completed")
		return false
	case run.Conclusion != "" && !slices.Contains(conclusions, run.Conclusion):
		x.invalid("CheckRun", "conclusion", "invalid", "conclusion is not included in the list")
		return false
	case !slices.Contains([]string{"queued", "in_progress", "completed", "waiting", "requested", "pending"}, run.Status):
		x.invalid("CheckRun", "status", "invalid", "status is not included in the list")
		return false
	case run.DetailsURL != "" && !strings.HasPrefix(run.DetailsURL, "http"):
		x.invalid("CheckRun", "details_url", "invalid", "details_url must be a URL")
		return false
	}
	return in.Output == nil || x.output(run, in)
}

// output sets a check run's texts and adds annotations to those that are there.
func (x *exchange) output(run *CheckRun, in checkRequest) bool {
	out := in.Output
	for to, from := range map[*string]*string{&run.Title: out.Title, &run.Summary: out.Summary, &run.Text: out.Text} {
		if from != nil {
			*to = *from
		}
	}
	switch {
	case out.Summary == nil:
		x.invalid("CheckRun", "summary", "missing_field", "summary wasn't supplied")
		return false
	case len(run.Summary) > 65535 || len(run.Text) > 65535:
		x.invalid("CheckRun", "summary", "too_long", "Only 65535 characters are allowed")
		return false
	case len(out.Annotations) > 50:
		x.invalid("CheckRun", "annotations", "invalid", "No more than 50 annotations are allowed")
		return false
	}
	for _, a := range out.Annotations {
		if why := a.wrong(); why != "" {
			x.invalid("CheckAnnotation", "annotations", "invalid", why)
			return false
		}
	}
	run.Annotations = slices.Concat(run.Annotations, out.Annotations)
	return true
}

func (a Annotation) wrong() string {
	switch {
	case a.Path == "" || a.Message == "":
		return "path and message are required"
	case a.StartLine < 1 || a.EndLine < a.StartLine:
		return "end_line must be on or after start_line"
	case !slices.Contains([]string{"notice", "warning", "failure"}, a.Level):
		return "annotation_level is not included in the list"
	case utf8.RuneCountInString(a.Title) > 255:
		return "title is too long (maximum is 255 characters)"
	case len(a.Message) > 64<<10 || len(a.RawDetails) > 64<<10:
		return "message is too long (maximum is 64 KB)"
	case (a.StartColumn != nil || a.EndColumn != nil) && a.StartLine != a.EndLine:
		return "columns are for annotations of one line"
	}
	return ""
}

func (s *Server) getCheckRun(x *exchange, groups []string) {
	for _, run := range s.repo(groups[1]).Checks {
		if strconv.FormatInt(run.ID, 10) == groups[2] {
			if x.may("checks", Read) {
				x.status, x.value = http.StatusOK, x.checkRun(groups[1], run)
			}
			return
		}
	}
	x.fail(http.StatusNotFound, "Not Found")
}

func (s *Server) listAnnotations(x *exchange, groups []string) {
	for _, run := range s.repo(groups[1]).Checks {
		if strconv.FormatInt(run.ID, 10) == groups[2] && x.may("checks", Read) {
			list := []any{}
			for _, a := range run.Annotations {
				list = append(list, x.annotation(groups[1], run, a))
			}
			x.status, x.value = http.StatusOK, page(x, list)
			return
		}
	}
	if x.status == 0 {
		x.fail(http.StatusNotFound, "Not Found")
	}
}

// listCheckRuns lists those of a commit, of a name where one is asked for; without filter=all
// the newest of each name alone.
func (s *Server) listCheckRuns(x *exchange, groups []string) {
	r, query := s.repo(groups[1]), x.URL.Query()
	if !r.Commits[groups[2]] {
		x.fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+groups[2])
		return
	}
	if !x.may("checks", Read) {
		return
	}
	list, seen := []any{}, map[string]bool{}
	for _, run := range slices.Backward(r.Checks) {
		name := query.Get("check_name")
		if run.Commit != groups[2] || name != "" && name != run.Name || query.Get("filter") != "all" && seen[run.Name] {
			continue
		}
		seen[run.Name] = true
		list = append(list, x.checkRun(groups[1], run))
	}
	x.status, x.value = http.StatusOK, object{"total_count": len(list), "check_runs": page(x, list)}
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (x *exchange) checkRun(repository string, run *CheckRun) object {
	id := strconv.FormatInt(run.ID, 10)
	address := x.base + "/repos/" + repository + "/check-runs/" + id
	var completed any
	if !run.Completed.IsZero() {
		completed = stamp(run.Completed)
	}
	return object{
		"id": run.ID, "node_id": "CR_" + id, "head_sha": run.Commit, "name": run.Name, "external_id": run.External,
		"url": address, "html_url": x.web(repository + "/runs/" + id), "details_url": orNil(run.DetailsURL),
		"status": run.Status, "conclusion": orNil(run.Conclusion), "started_at": stamp(run.Started), "completed_at": completed,
		"output": object{
			"title": orNil(run.Title), "summary": orNil(run.Summary), "text": orNil(run.Text),
			"annotations_count": len(run.Annotations), "annotations_url": address + "/annotations",
		},
		"check_suite": object{"id": 5}, "app": x.app(run.Login), "pull_requests": []any{},
	}
}

func (x *exchange) app(login string) object {
	slug := strings.TrimSuffix(login, "[bot]")
	return object{
		"id": 1, "node_id": "A_1", "slug": slug, "owner": x.user("github", false), "name": slug, "description": nil,
		"external_url": "https://github.com/features/actions", "html_url": "https://github.com/apps/" + slug,
		"created_at": "2020-01-02T03:04:05Z", "updated_at": "2020-01-02T03:04:05Z",
		"permissions": object{"checks": "write", "metadata": "read"}, "events": []any{},
	}
}

func (x *exchange) annotation(repository string, run *CheckRun, a Annotation) object {
	return object{
		"path": a.Path, "start_line": a.StartLine, "end_line": a.EndLine, "start_column": a.StartColumn, "end_column": a.EndColumn,
		"annotation_level": a.Level, "title": orNil(a.Title), "message": a.Message, "raw_details": orNil(a.RawDetails),
		"blob_href": x.web(repository + "/blob/" + run.Commit + "/" + a.Path),
	}
}
