// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"github.com/knowngood/knowngood/pkg/release"
)

const longestURL = 2000

var (
	repositoryForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$`)
	hostForm       = regexp.MustCompile(`^[A-Za-z0-9.-]+(?::[0-9]+)?$`)
)

// links knows the addresses of one commit of one repository; "" where one is not known.
type links struct {
	base   string // of the repository, without a slash at the end
	source string // what a commit's pages of the source have between base and commit
	commit release.Commit
	run    string
}

func linksOf(record release.Record, options Options) links {
	l := links{commit: record.Commit, run: webAddress(record.RunURL), source: "/blob/"}
	if options.Gitea {
		l.source = "/src/commit/"
	}
	if base := webAddress(options.Server); base != "" && repositoryForm.MatchString(record.Repository) {
		l.base = strings.TrimRight(base, "/") + "/" + record.Repository
	}
	if _, err := release.ParseCommit(string(record.Commit)); err != nil {
		l.base = ""
	}
	return l
}

func (l links) ofCommit() string {
	if l.base == "" {
		return ""
	}
	return l.base + "/commit/" + string(l.commit)
}

// of returns the address of a place in the source as it is in the commit.
func (l links) of(place release.Location) string {
	if l.base == "" || place.Path == "." || !fs.ValidPath(place.Path) || len(place.Path) > longestURL/4 {
		return ""
	}
	segments := strings.Split(place.Path, "/")
	for i, segment := range segments {
		// "@" and "&" are allowed in a path; percent signs keep Markdown from seeing more in them.
		segments[i] = strings.NewReplacer("&", "%26", "@", "%40", "$", "%24").Replace(url.PathEscape(segment))
	}
	address := l.base + l.source + string(l.commit) + "/" + strings.Join(segments, "/")
	switch {
	case place.Line > 0 && place.EndLine > place.Line:
		return fmt.Sprintf("%s#L%d-L%d", address, place.Line, place.EndLine)
	case place.Line > 0:
		return fmt.Sprintf("%s#L%d", address, place.Line)
	}
	return address
}

func weakness(number int) string {
	return fmt.Sprintf("[CWE-%d](https://cwe.mitre.org/data/definitions/%d.html)", number, number)
}

// Address returns an http or https address as it may be handed on as a link, or "" for anything
// else. No Markdown parser sees an end in it.
func Address(text string) string { return webAddress(text) }

// webAddress returns an http or https address in a form that no Markdown parser sees an end in,
// or "" for anything else.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !hostForm.MatchString(u.Host) || u.User != nil {
		return ""
	}
	var b strings.Builder
	for _, c := range []byte(u.String()) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>[]\\\"'`|*_{}!^$@", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	if b.Len() > longestURL {
		return ""
	}
	return b.String()
}
