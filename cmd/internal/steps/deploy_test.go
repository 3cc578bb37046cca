// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

func finish(outcome, status string) *DeployFinish {
	return &DeployFinish{subject: theSubject(), outcome: outcome, status: status}
}

func TestADeployThatFinishesKnowsWhenItBegan(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	run.Now = func() time.Time { at = at.Add(time.Minute); return at }
	if err := (&DeployStart{subject: theSubject()}).Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	began := h.result.(release.Entry)
	if began.State != release.Started || began.Step != "deploy-start" {
		t.Errorf("start left %+v", began)
	}
	if err := finish("", "7").Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	ended := h.result.(release.Entry)
	if ended.State != release.Failed || ended.Deploy.ExitStatus != 7 || ended.Error != "the deploy ended with exit status 7" {
		t.Errorf("finish left %+v", ended)
	}
	if !ended.Began.Equal(began.Began) || !ended.Ended.After(began.Ended) || ended.Previous == "" {
		t.Errorf("finish spans %v to %v, the deploy began at %v", ended.Began, ended.Ended, began.Began)
	}
}

func TestAFinishWithoutAStartIsAcceptedAndSaid(t *testing.T) {
	t.Parallel()
	run, h := newRun(t)
	var log bytes.Buffer
	run.Log = slog.New(slog.NewTextHandler(&log, nil))
	if err := finish("success", "").Run(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if got := h.result.(release.Entry); got.State != release.Done || got.Deploy.ExitStatus != release.ExitUnknown {
		t.Errorf("finish left %+v", got)
	}
	if !strings.Contains(log.String(), "no deploy start is in the record") {
		t.Errorf("the log says nothing of it: %s", &log)
	}
}

func TestHowADeployEnded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outcome, status string
		state           release.State
		exit            int
	}{
		{"success", "", release.Done, -1},
		{"Succeeded", "0", release.Done, 0},
		{"failure", "", release.Failed, -1},
		{"Failed", "2", release.Failed, 2},
		{"cancelled", "", release.Cancelled, -1},
		{"cancelled", "130", release.Cancelled, 130},
		{"", "0", release.Done, 0},
		{"", "137", release.Failed, 137},
	} {
		if state, exit, err := finish(test.outcome, test.status).ended(); state != test.state || exit != test.exit || err != nil {
			t.Errorf("ended(%q, %q) = %v, %d, %v, want %v, %d", test.outcome, test.status, state, exit, err, test.state, test.exit)
		}
	}
	for _, wrong := range [][2]string{{"", ""}, {"success", "1"}, {"failure", "0"}, {"cancelled", "0"}, {"skipped", ""}, {"None", ""}, {"", "x"}, {"", "-1"}} {
		if state, _, err := finish(wrong[0], wrong[1]).ended(); fault.StatusOf(err) != fault.Usage {
			t.Errorf("ended(%q, %q) = %v, %v, want an error of usage", wrong[0], wrong[1], state, err)
		}
	}
}
