// SPDX-License-Identifier: Apache-2.0

package git

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// scp finds git's short form, user@host:owner/name; a port cannot stand in it.
	scp = regexp.MustCompile(`^(?:[^@/\s]+@)?([A-Za-z0-9.-]+):([^/].*|/.+)$`)
	// part is what GitHub lets an owner or a repository be called.
	part = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// ParseRemote returns the host, in lower case, and owner/name of a remote's address:
// https://host/owner/name.git, ssh://git@host:22/owner/name, git@host:owner/name. Both are ""
// for everything else (folders, deeper paths, other characters). Credentials in the address
// are not returned.
func ParseRemote(address string) (host, repository string) {
	var path string
	if strings.Contains(address, "://") {
		parsed, err := url.Parse(address)
		if err != nil || !slices.Contains([]string{"https", "http", "ssh", "git", "git+ssh"}, parsed.Scheme) {
			return "", ""
		}
		host, path = parsed.Hostname(), parsed.Path
	} else if match := scp.FindStringSubmatch(address); match != nil {
		host, path = match[1], match[2]
	}
	owner, name, found := strings.Cut(strings.Trim(path, "/"), "/")
	name = strings.TrimSuffix(name, ".git")
	if host == "" || !found || !valid(owner) || !valid(name) {
		return "", ""
	}
	return strings.ToLower(host), owner + "/" + name
}

func valid(text string) bool { return part.MatchString(text) && strings.Trim(text, ".") != "" }
