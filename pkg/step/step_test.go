// SPDX-License-Identifier: Apache-2.0

package step_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

type inputs struct {
	text    string
	flag    bool
	number  int
	wait    time.Duration
	files   []string
	token   step.Hidden
	command []string
}

func declare(in *inputs) *step.Set {
	set := &step.Set{Spec: step.Spec{Name: "try"}}
	set.Text(&in.text, "mode", "enforce", "Whether it binds.", step.Choices("enforce", "audit"))
	set.Bool(&in.flag, "comment", true, "Whether to comment.")
	set.Int(&in.number, "limit", 20, "How many.")
	set.Duration(&in.wait, "timeout", 10*time.Minute, "How long to wait.")
	set.List(&in.files, "sarif", "Files.")
	set.Secret(&in.token, "token", "Token.", step.Fallback("GITHUB_TOKEN"))
	set.Command(&in.command, "deploy", "The deploy.")
	return set
}

func TestDefaultsAreWhatAPersonWouldWrite(t *testing.T) {
	t.Parallel()
	var in inputs
	set := declare(&in)
	got := map[string]string{}
	for _, input := range set.Inputs {
		got[input.Name] = input.Default
	}
	want := map[string]string{
		"mode": "enforce", "comment": "true", "limit": "20", "timeout": "10m", "sarif": "", "token": "", "deploy": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, wrong string }{
		{"mode", "audit", ""},
		{"mode", "Audit", `mode "Audit": want one of enforce, audit`},
		{"comment", "perhaps", `comment "perhaps": want true or false`},
		{"limit", "1.5", `limit "1.5": want a whole number`},
		{"timeout", "0s", `timeout "0s": want a length of time above zero, e.g. 90s, 10m or 1h30m`},
		{"timeout", "90", `timeout "90": want a length of time above zero, e.g. 90s, 10m or 1h30m`},
		{"colour", "red", `try has no input "colour"`},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Parallel()
			var in inputs
			err := declare(&in).Assign(test.name, test.value)
			if test.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || err.Error() != test.wrong {
				t.Errorf("error %v, want %s", err, test.wrong)
			}
			if got := fault.StatusOf(err); got != fault.Usage {
				t.Errorf("status %d, want %d", got, fault.Usage)
			}
		})
	}
}

func TestCompleteAsksInOrderAndSkipsEmptyValues(t *testing.T) {
	t.Parallel()
	var in inputs
	set := declare(&in)
	if err := set.Assign("sarif", "a.sarif"); err != nil {
		t.Fatal(err)
	}
	source := func(values map[string]string) step.Source {
		return func(in step.Input) (string, bool, error) {
			value, ok := values[in.Name]
			return value, ok, nil
		}
	}
	err := set.Complete(
		source(map[string]string{"timeout": "", "limit": "5", "sarif": "never.sarif"}),
		source(map[string]string{"timeout": "1m", "limit": "6", "token": "s3cret\n"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if in.number != 5 || in.wait != time.Minute || in.token.Reveal() != "s3cret" {
		t.Errorf("got limit %d, timeout %v, token %q", in.number, in.wait, in.token.Reveal())
	}
	if diff := cmp.Diff([]string{"a.sarif"}, in.files); diff != "" {
		t.Errorf("an assigned list was changed (-want +got):\n%s", diff)
	}
	if set.Given("mode") || !set.Given("limit") {
		t.Error("Given does not tell a default from a value")
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	var app string
	set := &step.Set{Spec: step.Spec{Name: "history"}}
	set.Text(&app, "app", "", "Name of the application.", step.Required())
	err := set.Complete()
	if err == nil || err.Error() != "history needs app: Name of the application." {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff([]string{"give --app, or set KNOWNGOOD_APP"}, fault.Hints(err)); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
}

// What may stand without its flag is asked for as people write it.
func TestARequiredWordIsAskedForAsAWord(t *testing.T) {
	t.Parallel()
	var folder string
	set := &step.Set{Spec: step.Spec{Name: "backup save"}}
	set.Text(&folder, "folder", "", "The folder.", step.Required(), step.Word())
	want := []string{"write it behind the command: backup save FOLDER, or set KNOWNGOOD_FOLDER"}
	if diff := cmp.Diff(want, fault.Hints(set.Complete())); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]step.Input{
		"Files. One a line.": {Doc: "Files.", Kind: step.List},
		"What to run. A script, run from a file by sh -e.": {Doc: "What to run.", Kind: step.Command},
		"When. One of always, never. Default: never.":      {Doc: "When.", Kind: step.Text, Choices: []string{"always", "never"}, Default: "never"},
		"A name.": {Doc: "A name.", Kind: step.Text},
	} {
		if got := in.Describe(); got != want {
			t.Errorf("Describe() = %q, want %q", got, want)
		}
	}
}

func TestHiddenDoesNotTell(t *testing.T) {
	t.Parallel()
	secret := step.Hidden("s3cret")
	encoded, err := json.Marshal(struct{ Token step.Hidden }{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %s", secret, secret, secret, secret),
		string(encoded), secret.LogValue().String(),
	} {
		if text == "" || len(text) > 40 || strings.Contains(text, "s3cret") {
			t.Errorf("a secret shows in %q", text)
		}
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	var set step.Set
	set.Needs("create,get", "snapshot.storage.k8s.io/volumesnapshots", "take them")
	set.Needs("create", "pods/exec", "run hooks")
	set.Extra("backup", "asked", func() { set.Needs("create", "batch/jobs", "save") })
	set.NeedsCluster("list", "namespaces", "find them")
	extra := []step.Extra{{Name: "backup", When: "asked", Needs: []step.Need{
		{Group: "batch", Resources: []string{"jobs"}, Verbs: []string{"create"}, Why: "save"},
	}}}
	if diff := cmp.Diff(extra, set.Extras); diff != "" {
		t.Errorf("extras (-want +got):\n%s", diff)
	}
	want := []step.Need{
		{Group: "snapshot.storage.k8s.io", Resources: []string{"volumesnapshots"}, Verbs: []string{"create", "get"}, Why: "take them"},
		{Resources: []string{"pods/exec"}, Verbs: []string{"create"}, Why: "run hooks"},
		{Resources: []string{"namespaces"}, Verbs: []string{"list"}, Cluster: true, Why: "find them"},
	}
	if diff := cmp.Diff(want, set.Spec.Needs); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}
