// SPDX-License-Identifier: Apache-2.0

// Command tell runs the `go test -json` that its arguments are and prints a line for each
// package, the output of each test that failed, and at the end every skipped test with the switch
// that runs it: a test that nobody knows to be skipped is a comment. It exits 1 when a test failed,
// when the command failed, e.g. because something killed it between two packages, and when no test
// passed: a go command that broke says nothing.
//
// With -keep FILE what tests log and benchmarks measure is printed as it comes, and appended to
// the file with the count at the end.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// An event is a line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type test struct{ pkg, name string }

func main() {
	keep := flag.String("keep", "", "file to append what tests log and benchmarks measure to")
	flag.Parse()
	failed, err := run(flag.Args(), *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tell:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

func run(command []string, keep string) (failed bool, err error) {
	if len(command) == 0 {
		return true, errors.New("want a command: tell go test -json PACKAGES")
	}
	if keep == "" {
		return follow(command, os.Stdout, nil)
	}
	file, err := os.OpenFile(keep, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return true, err
	}
	failed, err = follow(command, os.Stdout, file)
	return failed, errors.Join(err, file.Close())
}

// follow runs the command and tells what it prints. Its exit status is an error where no test
// failed: then something else did.
func follow(command []string, out, kept io.Writer) (failed bool, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return true, err
	}
	if err := cmd.Start(); err != nil {
		return true, err
	}
	failed, err = tell(stdout, out, kept)
	if ended := cmd.Wait(); ended != nil && !failed {
		err = errors.Join(err, fmt.Errorf("%s: %w", strings.Join(command, " "), ended))
	}
	return failed || err != nil, err
}

// Lines worth keeping: what a test logged, what a benchmark measured, and how much was fuzzed.
var (
	logged   = regexp.MustCompile(`^\s+\w+_test\.go:\d+: `)
	fuzzed   = regexp.MustCompile(`^fuzz: elapsed: .* execs: \d`)
	measured = regexp.MustCompile(`^(Benchmark\S+)?\s+\d+\s.* ns/op`)
)

// tell reads the events. kept, unless it is nil, takes the lines worth keeping.
func tell(in io.Reader, out, kept io.Writer) (failed bool, err error) {
	output, volume := map[test]*strings.Builder{}, map[string]string{}
	var skipped []string
	passed, broken := 0, 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // the compiler speaks plain text
			continue
		}
		at := test{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			if output[at] == nil {
				output[at] = &strings.Builder{}
			}
			output[at].WriteString(e.Output)
			figure := measured.MatchString(e.Output)
			if figure {
				passed++
			}
			if fuzzed.MatchString(e.Output) {
				volume[e.Package] = "    " + e.Output // the last says how much it was
			}
			if kept != nil && (figure || logged.MatchString(e.Output)) {
				fmt.Fprint(io.MultiWriter(out, kept), e.Output)
			}
		case "pass":
			if e.Test == "" {
				if kept != nil {
					fmt.Fprint(io.MultiWriter(out, kept), volume[e.Package])
				}
				fmt.Fprintf(out, "ok    %-60s %6.1f s\n", e.Package, e.Elapsed)
			} else {
				passed++
			}
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output[at])))
			}
		case "fail", "build-fail":
			failed = true
			if e.Test != "" {
				broken++
			}
			fmt.Fprintf(out, "FAIL  %s %s\n", e.Package, e.Test)
			if output[at] != nil {
				fmt.Fprint(out, output[at].String())
			}
		}
	}
	conclude(out, kept, passed, broken, skipped)
	return failed || passed == 0, lines.Err()
}

func conclude(out, kept io.Writer, passed, broken int, skipped []string) {
	if len(skipped) > 0 {
		fmt.Fprintf(out, "\nskipped, with the switch that runs it:\n  %s\n", strings.Join(skipped, "\n  "))
	}
	count := fmt.Sprintf("%d passed, %d failed, %d skipped\n", passed, broken, len(skipped))
	fmt.Fprint(out, count)
	if kept != nil {
		fmt.Fprint(kept, count)
	}
}

// reason is what a test said before it was skipped.
func reason(output *strings.Builder) string {
	if output == nil {
		return "no reason given"
	}
	for line := range strings.SplitSeq(output.String(), "\n") {
		if place, why, found := strings.Cut(strings.TrimSpace(line), ": "); found && strings.Contains(place, ".go:") {
			return why
		}
	}
	return "no reason given"
}
