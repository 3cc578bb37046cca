// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"golang.org/x/text/width"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

// The HTML that the package writes itself. No text from outside may add to it.
var ownHTML = []string{
	"<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<br>",
	"<code>", "</code>", "<span>", "</span>",
}

// The links that the package makes: to the repository, to the run, to the catalogue of weaknesses.
var ownLinks = []string{
	"https://github.com/acme/shop/", "https://evil.example/", "https://cwe.mitre.org/data/definitions/",
}

// live is what GitHub and Gitea would act upon in text that Markdown has become.
var live = regexp.MustCompile(`(?i)(?:^|[^0-9a-z_` + "`" + `])@[0-9a-z]|#[0-9]|\bgh-[0-9]|https?:/|ftp:/|www\.|mailto:|:[a-z+-][a-z0-9_+-]*:|:100:|:1234:|\$[^$¤]+\$`)

var htmlTag = regexp.MustCompile(`<[^>]*>`)

// An outline is the shape of a document: its nodes without their text.
type outline struct {
	shape  []string
	faults []string
}

func outlineOf(markdown string) outline {
	source := []byte(markdown)
	parser := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser()
	o, inCode := outline{}, false
	var shown strings.Builder
	flush := func() {
		if at := live.FindString(shown.String()); at != "" {
			o.fault("live text %q in %.200q", at, shown.String())
		}
		shown.Reset()
	}
	_ = ast.Walk(parser.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if n.Type() == ast.TypeBlock {
				flush()
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			if !inCode {
				shown.Write(decode(n.Segment.Value(source)))
			}
			return ast.WalkContinue, nil
		case *ast.CodeSpan:
			o.shape = append(o.shape, "code")
			shown.WriteString("`")
			return ast.WalkSkipChildren, nil
		case *ast.RawHTML:
			inCode = o.raw(lines(n.Segments, source), inCode)
			shown.WriteString(" ¤ ") // what stands on two sides of a tag is not one text
			return ast.WalkContinue, nil
		case *ast.HTMLBlock:
			o.rawBlock(lines(n.Lines(), source))
		case *ast.Link:
			o.link(string(n.Destination))
		case *ast.Image, *ast.AutoLink:
			o.fault("%s", n.Kind())
		}
		o.shape = append(o.shape, n.Kind().String())
		return ast.WalkContinue, nil
	})
	return o
}

func (o *outline) fault(format string, args ...any) {
	o.faults = append(o.faults, fmt.Sprintf(format, args...))
}

// raw notes a tag within a line. <code> is a code span in another form, <span> is nothing.
func (o *outline) raw(tag string, inCode bool) bool {
	switch {
	case !slices.Contains(ownHTML, tag):
		o.fault("raw HTML %q", tag)
	case tag == "<code>":
		o.shape = append(o.shape, "code")
		return true
	case tag == "</code>":
		return false
	case tag != "<span>" && tag != "</span>":
		o.shape = append(o.shape, tag)
	}
	return inCode
}

func (o *outline) rawBlock(html string) {
	for _, tag := range htmlTag.FindAllString(html, -1) {
		if !slices.Contains(ownHTML, tag) {
			o.fault("raw HTML %q", tag)
		}
		o.shape = append(o.shape, tag)
	}
}

func (o *outline) link(address string) {
	if !slices.ContainsFunc(ownLinks, func(own string) bool { return strings.HasPrefix(address, own) }) {
		o.fault("link to %q", address)
	}
}

func lines(segments *text.Segments, source []byte) string {
	var b strings.Builder
	for _, segment := range segments.Sliced(0, segments.Len()) {
		b.Write(segment.Value(source))
	}
	return b.String()
}

var escapes = regexp.MustCompile(`\\([!-/:-@\[-` + "`" + `{-~])|&#8203;|&lt;|&gt;|&amp;|&#124;|&nbsp;`)

// decode returns the characters that Markdown shows for what the package writes.
func decode(source []byte) []byte {
	return escapes.ReplaceAllFunc(source, func(escape []byte) []byte {
		switch string(escape) {
		case "&#8203;":
			return []byte("\u200b")
		case "&lt;":
			return []byte("<")
		case "&gt;":
			return []byte(">")
		case "&amp;":
			return []byte("&")
		case "&#124;":
			return []byte("|")
		case "&nbsp;":
			return []byte("\u00a0")
		}
		return escape[1:]
	})
}

// filler returns a function that returns a case's record with every text from outside replaced.
func filler(tb testing.TB, file string) func(hostile string) release.Record {
	tb.Helper()
	form, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return func(hostile string) release.Record {
		var tree any
		if err := json.Unmarshal(form, &tree); err != nil {
			tb.Fatal(err)
		}
		data, err := json.Marshal(refill(tree, "", hostile))
		if err != nil {
			tb.Fatal(err)
		}
		var record release.Record
		if err := json.Unmarshal(data, &record); err != nil {
			tb.Fatal(err)
		}
		return record
	}
}

// refill replaces every string of a decoded JSON value but those that decide the shape.
func refill(value any, key, hostile string) any {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = refill(inner, k, hostile)
		}
	case []any:
		for i, inner := range v {
			v[i] = refill(inner, key, hostile)
		}
	case string:
		switch key {
		case "id", "commit", "began", "ended", "cut", "at", "not_before", "not_after", "outcome", "mode", "verb",
			"state", "action", "completeness", "consistency", "baseline", "repository", "path", "run_url", "previous":
			return v
		case "step":
			if strings.HasPrefix(v, "weird") {
				return "weird " + hostile
			}
			return v
		}
		return hostile
	}
	return value
}

var seeds = []string{
	"plain words", "@everyone", "a@b.example", "#1 GH-2 a/b#3", "https://evil.example www.evil.example mailto:a@b.c",
	"![i](https://evil.example/i.png)", "[l](javascript:alert(1))", "[l]: https://evil.example", "<script>alert(1)</script>",
	"<!--", "-->", "]]>", "</details>", "`", "``", "a`b|c", "|", `\`, `\|`, "a\\", "**b**", "__b__", "~~s~~", "# h", "- l", "1. l", "1) l",
	"> q", "> [!NOTE]", "---", "===", "- [ ] t", "$a$ $b$", "$$x$$", ":rocket:", "::error::x", "::set-output name=decision::pass", "##[error]x", "[^1]", "[^1]: x",
	"&lt;script&gt;", "&#64;everyone", "\u202e\u2066", "\x00\x1b[31m\x07", "a\r\nb\n\n\n    c", "\ufeff\u200b", "e\u0301\u0301\u0301\u0301\u0301\u0301", "日本語のとても長い文章", "😀👩‍👩‍👧",
	"\xff\xfe", "    indented", "\ttab", "| a | b |\n|---|---|", "<https://evil.example>", "x!", "![", "```\ncode\n```", "~~~", "*", "_", "a_b_c", "+ x", "=",
	strings.Repeat("`", 90), strings.Repeat("[", 200), strings.Repeat("$", 300), strings.Repeat("@a ", 300),
}

func TestNothingHostileIsLive(t *testing.T) {
	t.Parallel()
	check := liveCheck(t, filler(t, "testdata/hostile.json"))
	for _, seed := range seeds {
		check(t, seed)
	}
}

// The fuzzed record is a small one, with each kind of place that text from outside comes to.
func FuzzNothingHostileIsLive(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	check := liveCheck(f, filler(f, "testdata/hostile-small.json"))
	f.Fuzz(func(t *testing.T, hostile string) { check(t, hostile) })
}

var kubernetesName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

func liveCheck(tb testing.TB, filled func(string) release.Record) func(testing.TB, string) {
	tb.Helper()
	summary := func(hostile string) outline {
		return outlineOf(report.Summary(filled(hostile), report.Options{Record: hostile, Notes: []string{hostile}}))
	}
	plain := summary("X")
	return func(tb testing.TB, hostile string) {
		tb.Helper()
		record := filled(hostile)
		record.Entries[0].Decision.Judgements[0].Finding.Location.Path = hostile
		for _, markdown := range []string{
			report.Comment(record, report.Options{Server: "https://github.com", Record: hostile, Notes: []string{hostile}}),
			report.Comment(record, report.Options{Limit: 1, Record: hostile}),
		} {
			if o := outlineOf(markdown); len(o.faults) > 0 {
				tb.Errorf("%q is live: %s\n%s", hostile, strings.Join(o.faults, "; "), markdown)
			}
			if !utf8.ValidString(markdown) || strings.ContainsAny(markdown, "\x00\x1b\r\u202e") {
				tb.Errorf("not clean: %q", markdown)
			}
			if len(markdown) > report.CommentLimit-1024 {
				tb.Errorf("%d bytes", len(markdown))
			}
		}
		if clean := report.Clean(hostile); clean == "" || kubernetesName.MatchString(clean) {
			return // fields that are empty, or names that Kubernetes takes, have a shape of their own
		}
		if diff := cmp.Diff(plain.shape, summary(hostile).shape); diff != "" {
			tb.Errorf("%q changes the document's shape (-plain +got):\n%s", hostile, diff)
		}
	}
}

func FuzzTextIsPlain(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	filled := filler(f, "testdata/hostile-small.json")
	f.Fuzz(func(t *testing.T, hostile string) {
		record := filled(hostile)
		pages := []string{
			report.Text(record, report.Options{Record: hostile, Notes: []string{hostile}}),
			report.History([]release.Record{record, record}),
			report.Line(hostile, 60) + "\n",
		}
		for _, entry := range record.Entries {
			pages = append(pages, report.Entry(entry))
			if d := entry.Decision; d != nil {
				pages = append(pages, report.Comparison(release.Comparison{Before: hostile, After: hostile, Scans: d.Scans, Judgements: d.Judgements, New: 9}))
			}
		}
		for _, status := range report.Statuses(record, "knowngood") {
			if n := utf8.RuneCountInString(status.Description); n > 140 || n == 0 {
				t.Errorf("%s: a description of %d characters", status.Context, n)
			}
			pages = append(pages, report.Line(status.Description, 80)+"\n")
		}
		for _, page := range pages {
			plainPage(t, page)
		}
	})
}

func plainPage(t *testing.T, page string) {
	t.Helper()
	if !strings.HasSuffix(page, "\n") || !utf8.ValidString(page) {
		t.Errorf("no whole lines: %q", page)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(page, "\n"), "\n") {
		if n := columnsOf(line); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			t.Errorf("the runner obeys %q", line)
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, line)
			}
		}
	}
}

func columnsOf(line string) int {
	n := 0
	for _, r := range line {
		kind := width.LookupRune(r).Kind()
		switch {
		case unicode.Is(unicode.M, r):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
