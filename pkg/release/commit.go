// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"regexp"
	"strings"
)

// A Commit is a full git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
// The zero value means "not known".
type Commit string

var commitForm = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// ParseCommit returns text as a Commit. Abbreviated ids, branch names and tags are
// errors: a label that names a commit must name exactly one for ever.
func ParseCommit(text string) (Commit, error) {
	commit := strings.ToLower(strings.TrimSpace(text))
	if !commitForm.MatchString(commit) {
		return "", fmt.Errorf("commit %.80q: want 40 or 64 hexadecimal digits, as `git rev-parse HEAD` prints them", text)
	}
	if strings.Trim(commit, "0") == "" {
		return "", fmt.Errorf("commit %s: git's null id names no commit", commit)
	}
	return Commit(commit), nil
}

// Label returns the commit as a Kubernetes label value: whole when it fits 63 bytes,
// else its first 40 digits. The whole id then stands in an annotation.
func (c Commit) Label() string {
	if len(c) > 63 {
		return string(c[:40])
	}
	return string(c)
}

// Short returns the first 12 digits, for people.
func (c Commit) Short() string {
	if len(c) > 12 {
		return string(c[:12])
	}
	return string(c)
}
