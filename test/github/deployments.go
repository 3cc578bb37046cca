// SPDX-License-Identifier: Apache-2.0

package github

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Deployment is one deployment with its statuses, oldest first.
type Deployment struct {
	ID          int64              `json:"id"`
	Commit      string             `json:"commit"`
	Task        string             `json:"task"`
	Environment string             `json:"environment"`
	Description string             `json:"description,omitempty"`
	Payload     json.RawMessage    `json:"payload,omitempty"`
	Login       string             `json:"login"`
	Bot         bool               `json:"bot,omitempty"`
	Created     time.Time          `json:"created"`
	Statuses    []DeploymentStatus `json:"statuses,omitempty"`
}

// A DeploymentStatus is how far a deployment got.
type DeploymentStatus struct {
	ID          int64     `json:"id"`
	State       string    `json:"state"`
	Description string    `json:"description,omitempty"`
	LogURL      string    `json:"log_url,omitempty"`
	Created     time.Time `json:"created"`
}

// Deployments returns the deployments of a repository, oldest first.
func (s *Server) Deployments(repository string) []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Deployment
	for _, d := range s.repo(repository).Deployments {
		copied := *d
		copied.Statuses = slices.Clone(d.Statuses)
		all = append(all, copied)
	}
	return all
}

func (s *Server) createDeployment(x *exchange, groups []string) {
	r := s.repo(groups[1])
	var in struct {
		Ref, Task, Environment, Description string
		AutoMerge                           *bool     `json:"auto_merge"`
		RequiredContexts                    *[]string `json:"required_contexts"`
		Payload                             json.RawMessage
	}
	if !x.may("deployments", Write) || !x.decode(&in) {
		return
	}
	switch {
	case !r.Commits[in.Ref]:
		x.fail(http.StatusUnprocessableEntity, "No ref found for: "+in.Ref)
	case utf8.RuneCountInString(in.Description) > 140:
		x.invalid("Deployment", "description", "custom", "description is too long (maximum is 140 characters)")
	case in.RequiredContexts == nil && !r.green(in.Ref):
		x.fail(http.StatusConflict, "Conflict: Commit status checks failed for "+in.Ref+".")
	default:
		d := &Deployment{
			ID: s.id(), Commit: in.Ref, Task: in.Task, Environment: in.Environment, Description: in.Description,
			Payload: in.Payload, Login: x.token.Login, Bot: x.token.App, Created: s.now(),
		}
		if d.Task == "" {
			d.Task = "deploy"
		}
		if d.Environment == "" {
			d.Environment = "production"
		}
		if len(d.Payload) == 0 {
			d.Payload = json.RawMessage(`{}`)
		}
		r.Deployments = append(r.Deployments, d)
		x.status, x.value = http.StatusCreated, x.deployment(groups[1], d)
	}
}

// green tells whether no status of a commit stands against deploying it.
func (r *repo) green(commit string) bool {
	seen := map[string]bool{}
	for _, status := range r.newest(commit) {
		if !seen[status.Context] && status.State != "success" {
			return false
		}
		seen[status.Context] = true
	}
	return true
}

// listDeployments lists them newest first.
func (s *Server) listDeployments(x *exchange, groups []string) {
	if !x.may("deployments", Read) {
		return
	}
	query, list := x.URL.Query(), []any{}
	fits := func(name, value string) bool {
		asked := query.Get(name)
		return asked == "" || asked == "none" || asked == value
	}
	for _, d := range slices.Backward(s.repo(groups[1]).Deployments) {
		if fits("environment", d.Environment) && fits("task", d.Task) && fits("sha", d.Commit) && fits("ref", d.Commit) {
			list = append(list, x.deployment(groups[1], d))
		}
	}
	x.status, x.value = http.StatusOK, page(x, list)
}

func (r *repo) deployment(id string) *Deployment {
	for _, d := range r.Deployments {
		if strconv.FormatInt(d.ID, 10) == id {
			return d
		}
	}
	return nil
}

func (s *Server) createDeploymentStatus(x *exchange, groups []string) {
	d := s.repo(groups[1]).deployment(groups[2])
	var in DeploymentStatus
	states := []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
	switch {
	case d == nil:
		x.fail(http.StatusNotFound, "Not Found")
	case !x.may("deployments", Write) || !x.decode(&in):
	case !slices.Contains(states, in.State):
		x.invalid("DeploymentStatus", "state", "custom", "state is not included in the list")
	case utf8.RuneCountInString(in.Description) > 140:
		x.invalid("DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)")
	case in.LogURL != "" && !strings.HasPrefix(in.LogURL, "http"):
		x.invalid("DeploymentStatus", "target_url", "custom", "target_url must use http(s) scheme")
	default:
		in.ID, in.Created = s.id(), s.now()
		d.Statuses = append(d.Statuses, in)
		x.status, x.value = http.StatusCreated, x.deploymentStatus(groups[1], d, in)
	}
}

func (s *Server) listDeploymentStatuses(x *exchange, groups []string) {
	d := s.repo(groups[1]).deployment(groups[2])
	switch {
	case d == nil:
		x.fail(http.StatusNotFound, "Not Found")
	case x.may("deployments", Read):
		list := []any{}
		for _, status := range slices.Backward(d.Statuses) {
			list = append(list, x.deploymentStatus(groups[1], d, status))
		}
		x.status, x.value = http.StatusOK, page(x, list)
	}
}

func (x *exchange) deployment(repository string, d *Deployment) object {
	id := strconv.FormatInt(d.ID, 10)
	address := x.base + "/repos/" + repository + "/deployments/" + id
	return object{
		"id": d.ID, "node_id": "DE_" + id, "sha": d.Commit, "ref": d.Commit, "task": d.Task, "payload": d.Payload,
		"original_environment": d.Environment, "environment": d.Environment, "description": orNil(d.Description),
		"creator": x.user(d.Login, d.Bot), "created_at": stamp(d.Created), "updated_at": stamp(d.Created),
		"url": address, "statuses_url": address + "/statuses", "repository_url": x.base + "/repos/" + repository,
		"transient_environment": false, "production_environment": d.Environment == "production",
	}
}

func (x *exchange) deploymentStatus(repository string, d *Deployment, status DeploymentStatus) object {
	id := strconv.FormatInt(status.ID, 10)
	deployment := x.base + "/repos/" + repository + "/deployments/" + strconv.FormatInt(d.ID, 10)
	return object{
		"id": status.ID, "node_id": "DS_" + id, "url": deployment + "/statuses/" + id, "state": status.State,
		"description": status.Description, "environment": d.Environment, "target_url": status.LogURL, "log_url": status.LogURL,
		"creator": x.user(d.Login, d.Bot), "created_at": stamp(status.Created), "updated_at": stamp(status.Created),
		"deployment_url": deployment, "repository_url": x.base + "/repos/" + repository, "environment_url": "",
	}
}
