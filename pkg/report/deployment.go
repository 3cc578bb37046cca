// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/knowngood/knowngood/pkg/release"

// environmentLimit is GitHub's limit for the name of an environment, in characters.
const environmentLimit = 255

// A Deployment is a record's deploy as a deployment shows it.
type Deployment struct {
	Environment string
	// State is in_progress, success (deployed, and each step did what it should), failure, or
	// error where it is not known how the deploy ended.
	State       string
	Description string // one line of at most 140 characters
}

// DeploymentOf returns the deployment of a record, and false for a record without a deploy or
// without the name of an environment.
func DeploymentOf(record release.Record) (Deployment, bool) {
	start, finish := record.Last("deploy-start"), record.Last("deploy-finish")
	name := Clean(record.Environment)
	if start == nil && finish == nil || name == "" || record.Environment == release.NoEnvironment || len(name) > environmentLimit {
		return Deployment{}, false
	}
	s := tell(record)
	d := Deployment{Environment: name, State: "in_progress", Description: cut(Clean(s.word), descriptionLimit)}
	if finish == nil || start != nil && finish.Ended.Before(start.Began) {
		return d, true
	}
	switch finish.State {
	case release.Done:
		d.State = "success"
	case release.Failed, release.Partial:
		d.State = "failure"
	default:
		d.State = "error"
	}
	if step := s.failed(); d.State == "success" && step != "" {
		d.State, d.Description = "failure", cut(d.Description+", but "+step+" failed", descriptionLimit)
	}
	if words := s.deployRow().words; words != plainState(&release.Entry{State: release.Done}) {
		d.Description = cut(d.Description+": "+words, descriptionLimit)
	}
	return d, true
}
