// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/knowngood/knowngood/test/docs"
	"github.com/knowngood/knowngood/test/github"
	"github.com/knowngood/knowngood/test/github/contract"
	"github.com/knowngood/knowngood/test/schema"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"knowngood": main})
}

// TestScripts runs the program as a person or a pipeline would: each test/script/*.txtar is a
// shell-like script that asserts standard output, standard error, exit status and files.
// Beside testscript's own commands there is "exits STATUS COMMAND ARG...", which asserts an
// exit status to the number, and "noun NAME FILE", which holds JSON in a file, or in stdout, to the
// published schema of a noun, and "yaml FILE...", which holds YAML to the programs that read it.
// FAKE_GITHUB is the address of a GitHub where the token "good" may write to acme/shop, whose
// pull request 7 has a commit of forty ones and a base of forty bs, which has no files; the
// commit of forty cs has a configuration in audit mode.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../test/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("GIT_AUTHOR_NAME", "Anna")
			env.Setenv("GIT_AUTHOR_EMAIL", "anna@example.org")
			env.Setenv("GIT_COMMITTER_NAME", "Anna")
			env.Setenv("GIT_COMMITTER_EMAIL", "anna@example.org")
			env.Setenv("FAKE_GITHUB", fakeGitHub(env, contract.Hold(t)))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "noun": noun, "yaml": copied},
	})
}

func fakeGitHub(env *testscript.Env, check func(*http.Request, []byte, int, http.Header, []byte) error) string {
	fake := &github.Server{Check: check}
	bot := "github-actions[bot]"
	fake.AddToken("good", github.Token{Login: bot, App: true, Scopes: github.Everything()})
	fake.AddToken("fork", github.Token{Login: bot, App: true, Scopes: map[string]github.Access{"contents": github.Read, "pull-requests": github.Read}})
	fake.AddToken("blind", github.Token{Login: bot, App: true, Scopes: map[string]github.Access{"pull-requests": github.Read}})
	fake.AddPull("acme/shop", github.Pull{Number: 7, Head: strings.Repeat("1", 40)})
	fake.AddCommits("acme/shop", strings.Repeat("b", 40))
	fake.AddFile("acme/shop", strings.Repeat("c", 40), ".knowngood.yaml", "inputs:\n  mode: audit\n")
	server := httptest.NewServer(fake)
	env.Defer(server.Close)
	return server.URL
}

// exits runs a command and asserts its exit status.
func exits(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits %d, want %d", args[1:], got, want)
	}
}

// noun holds JSON to the schema of a noun, [] before the name for a list.
func noun(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 2 {
		ts.Fatalf("usage: noun NAME FILE")
	}
	text, err := os.ReadFile("../../pkg/release/schema.json")
	ts.Check(err)
	s, err := schema.Noun(text, args[0])
	ts.Check(err)
	if err := s.Check([]byte(ts.ReadFile(args[1]))); err != nil {
		ts.Fatalf("%s is no %s: %v", args[1], args[0], err)
	}
}

// copied holds YAML that we write for people to what will read it.
func copied(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) == 0 {
		ts.Fatalf("usage: yaml FILE...")
	}
	for _, file := range args {
		if err := docs.Check(context.Background(), "../..", ts.ReadFile(file)); err != nil {
			ts.Fatalf("%s: %v", file, err)
		}
	}
}
