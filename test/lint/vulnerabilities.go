// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// offline is the variable by which a person says that known vulnerabilities need not be known.
const offline = "OFFLINE"

// Errors of a question.
var (
	errVulnerable = errors.New("the program reaches known vulnerabilities")
	errNotKnown   = errors.New("known vulnerabilities: not known")
)

// A question asks whether packages reach code with known vulnerabilities.
type question struct {
	program  string // govulncheck
	dir      string // of the module; "" is the working directory
	packages string
	database string // address of the database; "" is Go's own
	skip     bool
}

// govulncheck's exit statuses (its documentation, "Exit codes").
const found = 3

// vulnerabilities prints what govulncheck says. A database that cannot be asked has not said
// that all is well: that is an error, unless the question was skipped on purpose, which is said.
func vulnerabilities(ctx context.Context, out io.Writer, q question) error {
	if q.skip {
		fmt.Fprintf(out, "NOT CHECKED, since %s=1 says so: whether the program reaches known vulnerabilities\n", offline)
		return nil
	}
	args := []string{q.packages}
	if q.database != "" {
		args = append([]string{"-db", q.database}, args...)
	}
	cmd := exec.CommandContext(ctx, q.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = q.dir, out, out
	cmd.Env = os.Environ()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == found:
		return errVulnerable
	}
	return fmt.Errorf("%w, since govulncheck ended with: %w\n"+
		"hint: where its database (https://vuln.go.dev) cannot be reached, name a mirror in GOVULNDB, or leave this out: make lint %s=1", errNotKnown, err, offline)
}
