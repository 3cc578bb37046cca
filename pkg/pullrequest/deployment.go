// SPDX-License-Identifier: Apache-2.0

package pullrequest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/go-github/v60/github"
)

const (
	scopeDeployments = "deployments: write"
	// task keeps our deployments apart from those that ask somebody to deploy: who listens for
	// the task "deploy" hears nothing.
	task = "knowngood:release"
	// recent is how many deployments of an environment are looked at for ours.
	recent = 100
)

// A Deployment is a deploy of a commit that is under way or over.
type Deployment struct {
	// Environment is the name that GitHub shows.
	Environment string
	// State is in_progress, success, failure or error; a server takes at most 140 characters
	// of Description.
	State, Description string
	URL                string // of the run
}

// Deployed is what came of Deploy.
type Deployed struct {
	// Done is "created", "updated", "unchanged", or "kept" where a newer run had deployed.
	Done string
	ID   int64
}

// memo is what a deployment of ours bears as its payload.
type memo struct {
	Knowngood string `json:"knowngood"`
}

// Deploy tells of a deploy as a deployment with a status: one for each run. A deployment of a
// newer run to the same environment stays the newest. GitHub merges nothing and asks for no
// checks: the deploy is not to be done, it has begun.
func (c *Client) Deploy(ctx context.Context, commit string, marker Marker, d Deployment) (Deployed, error) {
	doing := fmt.Sprintf("tell of the deployment of commit %.12s to %s", commit, d.Environment)
	want := identify(marker, Check{})
	done := Deployed{Done: "unchanged"}
	own, kept, err := c.ownDeployment(ctx, commit, want, d, &done)
	if err != nil {
		return done, c.unsupported(err, doing, scopeDeployments)
	}
	done.ID = own.GetID()
	if kept {
		done.Done = "kept"
		return done, nil
	}
	return done, c.unsupported(c.progress(ctx, own.GetID(), d, &done), doing, scopeDeployments)
}

// ownDeployment returns the deployment of the same run, a newer run's, or a new one.
func (c *Client) ownDeployment(ctx context.Context, commit string, want reference, d Deployment, done *Deployed) (own *github.Deployment, kept bool, err error) {
	options := &github.DeploymentsListOptions{Environment: d.Environment, Task: task, ListOptions: github.ListOptions{PerPage: recent}}
	for losses := 0; ; {
		list, _, err := c.api.Repositories.ListDeployments(ctx, c.owner, c.name, options)
		if err != nil {
			return nil, false, err
		}
		for _, other := range list {
			of, ok := memoOf(other)
			if ok && of.run != want.run && of.newer(want) {
				return other, true, nil
			}
			if ok && of.run == want.run && other.GetSHA() == commit && (own == nil || other.GetID() < own.GetID()) {
				own = other
			}
		}
		if own != nil {
			return own, false, nil
		}
		err = c.createDeployment(ctx, commit, want, d)
		switch {
		case err == nil:
			done.Done = "created" // and look again: another process may have made one as well
		case !lost(err):
			return nil, false, err
		default:
			if losses++; losses == attempts {
				return nil, false, err
			}
			if err := c.wait(ctx, time.Second<<losses, "the answer to a new deployment is lost"); err != nil {
				return nil, false, err
			}
		}
	}
}

func (c *Client) createDeployment(ctx context.Context, commit string, want reference, d Deployment) error {
	name, merge, description := task, false, "Deployed by knowngood"
	_, _, err := c.api.Repositories.CreateDeployment(ctx, c.owner, c.name, &github.DeploymentRequest{
		Ref: &commit, Task: &name, AutoMerge: &merge, RequiredContexts: &[]string{}, Environment: &d.Environment,
		Payload: memo{want.String()}, Description: &description,
	})
	return err
}

// memoOf reads the reference of a deployment of ours. Servers hand a payload back as an object
// or as its text.
func memoOf(d *github.Deployment) (reference, bool) {
	payload := []byte(d.Payload)
	var text string
	if json.Unmarshal(payload, &text) == nil {
		payload = []byte(text)
	}
	var m memo
	if json.Unmarshal(payload, &m) != nil {
		return reference{}, false
	}
	return referenceOf(m.Knowngood)
}

// progress gives a deployment its newest status. It may be sent twice: the newest counts.
func (c *Client) progress(ctx context.Context, id int64, d Deployment, done *Deployed) error {
	statuses, _, err := c.api.Repositories.ListDeploymentStatuses(ctx, c.owner, c.name, id, &github.ListOptions{PerPage: 1})
	if err != nil {
		return err
	}
	if len(statuses) > 0 && statuses[0].GetState() == d.State && statuses[0].GetDescription() == d.Description {
		return nil
	}
	in := &github.DeploymentStatusRequest{State: &d.State, Description: &d.Description, LogURL: address(d.URL)}
	for attempt := 1; ; attempt++ {
		_, _, err := c.api.Repositories.CreateDeploymentStatus(ctx, c.owner, c.name, id, in)
		if err == nil && done.Done == "unchanged" {
			done.Done = "updated"
		}
		if !lost(err) || attempt == attempts {
			return err
		}
		if err := c.wait(ctx, time.Second<<attempt, "the answer to a deployment's status is lost"); err != nil {
			return err
		}
	}
}
