// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// placeholder is what a link-template fills in.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

const linkHint = "write it as https://HOST/..., with any of {place}, {id} and {commit} behind the host"

// CheckLinkTemplate returns an error of usage where a template does not make addresses that open
// in a browser, or would let what is filled in choose the host.
func CheckLinkTemplate(template string) error {
	if template == "" {
		return nil
	}
	for _, name := range placeholder.FindAllString(template, -1) {
		if name != "{place}" && name != "{id}" && name != "{commit}" {
			return fault.Hint(fault.Usagef("link-template: there is no placeholder %q", name), linkHint)
		}
	}
	filled := placeholder.ReplaceAllString(template, "x")
	at, err := url.Parse(filled)
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(template, "https://"), "http://"), "/")
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil:
		return fault.Hint(fault.Usagef("link-template: is no address of a page"), linkHint)
	case placeholder.MatchString(host):
		return fault.Hint(fault.Usagef("link-template: the host %q is filled in", host), linkHint)
	case strings.ContainsAny(filled, "{}()<>[]\"'`\\ |*") || Clean(filled) != filled:
		return fault.Hint(fault.Usagef("link-template: has signs that an address does not have as they are"), "write them percent-encoded")
	}
	return nil
}

// backupLink is the address of a backup by a template that was checked, "" without one. What is
// filled in cannot leave its place: all but letters, digits and -._~ is percent-encoded.
func backupLink(template, place string, b release.Backup) string {
	if template == "" || CheckLinkTemplate(template) != nil {
		return ""
	}
	return placeholder.ReplaceAllStringFunc(template, func(name string) string {
		value := map[string]string{"{place}": place, "{id}": b.ID, "{commit}": string(b.Commit)}[name]
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	})
}
