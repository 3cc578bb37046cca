// SPDX-License-Identifier: Apache-2.0

package action_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/action"
)

// obeyed reads a log as the runner does: lines that begin with "::" are commands, with
// properties and data that have escapes of their own (actions/runner, ActionCommand.cs).
func obeyed(t testing.TB, log string) []action.Annotation {
	t.Helper()
	var all []action.Annotation
	for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
		head, message, found := strings.Cut(strings.TrimPrefix(line, "::"), "::")
		name, properties, _ := strings.Cut(head, " ")
		a := action.Annotation{Level: map[string]string{"error": "failure", "warning": "warning"}[name], Message: unescaped(message, "%25", "%0D", "%0A")}
		if !found || a.Level == "" || strings.Contains(line, "\r") {
			t.Fatalf("the runner takes %q for no annotation", line)
		}
		for pair := range strings.SplitSeq(properties, ",") {
			key, value, _ := strings.Cut(pair, "=")
			value = unescaped(value, "%25", "%0D", "%0A", "%3A", "%2C")
			var err error
			switch key {
			case "file":
				a.Path = value
			case "title":
				a.Title = value
			case "line":
				_, err = fmt.Sscan(value, &a.Line)
			case "endLine":
				_, err = fmt.Sscan(value, &a.EndLine)
			case "":
			default:
				t.Fatalf("property %q of %q", key, line)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, a)
	}
	return all
}

// unescaped undoes the escapes, %25 last as the runner does.
func unescaped(text string, escapes ...string) string {
	plain := map[string]string{"%25": "%", "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
	for _, escape := range append(escapes[1:], escapes[0]) {
		text = strings.ReplaceAll(text, escape, plain[escape])
	}
	return text
}

func FuzzAnnotationsAreWhatTheySay(f *testing.F) {
	for _, text := range []string{
		"SQL string", "100%", "%0A::set-output name=x::y", "a\n::error::b", "a\r\n##[command]b", "a,line=9:b::c", "::stop-commands::x", "]]>\u202e@everyone", "",
	} {
		f.Add("cmd/a b,c:d.go", text, text)
	}
	f.Fuzz(func(t *testing.T, path, title, message string) {
		var out bytes.Buffer
		want := action.Annotation{Path: path, Line: 3, EndLine: 4, Level: "failure", Title: title, Message: message}
		if !host(nil, &out).Annotate(want) {
			t.Fatal("the first annotation is left out")
		}
		if diff := cmp.Diff([]action.Annotation{want}, obeyed(t, out.String())); diff != "" {
			t.Errorf("the runner reads something else (-want +got):\n%s", diff)
		}
	})
}

// The runner keeps ten of each level; what it would drop is not written, and the error with which
// the step ends is among the ten.
func TestAnnotationsStayWithinWhatTheRunnerKeeps(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := host(nil, &out)
	h.Mark(slog.LevelWarn, "the report is not whole")
	shown := map[string]int{}
	for range 12 {
		for _, level := range []string{"failure", "warning"} {
			if h.Annotate(action.Annotation{Path: "a.go", Line: 1, EndLine: 1, Level: level, Title: "t", Message: "m"}) {
				shown[level]++
			}
		}
	}
	h.Fail(errors.New("the gate is closed"))
	kept := map[string]int{}
	for _, a := range obeyed(t, out.String()) {
		kept[a.Level]++
	}
	if diff := cmp.Diff(map[string]int{"failure": 10, "warning": 10}, kept); diff != "" || shown["failure"] != 9 || shown["warning"] != 9 {
		t.Errorf("shown %v, written (-want +got):\n%s", shown, diff)
	}
}
