// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
	"github.com/knowngood/knowngood/test/schema"
)

// formats are those for other machines.
var formats = []struct {
	ending string
	write  func(release.Entry) ([]byte, error)
	check  func(*testing.T, release.Entry, []byte)
}{
	{"junit.xml", report.JUnit, checkJUnit},
	{"gitlab", report.GitLab, checkGitLab},
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, record := range cases(t) {
		for _, entry := range record.Entries {
			for _, format := range formats {
				text, err := format.write(entry)
				if entry.Decision == nil {
					if err == nil {
						t.Errorf("%s: %s of a step without a decision", name, format.ending)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				format.check(t, entry, text)
				if slices.Contains([]string{"fail", "unusable-scan", "hostile", "audit"}, name) {
					golden(t, name+"."+format.ending, string(text))
				}
			}
		}
	}
}

func FuzzFormats(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	filled := filler(f, "testdata/hostile.json")
	f.Fuzz(func(t *testing.T, hostile string) {
		for _, entry := range filled(hostile).Entries {
			if entry.Decision == nil {
				continue
			}
			for i := range entry.Decision.Judgements {
				entry.Decision.Judgements[i].Finding.Location.Path = hostile
			}
			for _, format := range formats {
				text, err := format.write(entry)
				if err != nil {
					t.Fatal(err)
				}
				format.check(t, entry, text)
			}
		}
	})
}

type junitSums struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// checkJUnit reads the XML strictly: the counts are those of the cases, the first suite tells the
// decision, and no character is one that XML 1.0 forbids.
func checkJUnit(t *testing.T, entry release.Entry, text []byte) {
	t.Helper()
	var whole struct {
		junitSums
		Suites []struct {
			junitSums
			Name  string `xml:"name,attr"`
			Cases []struct {
				Class   string     `xml:"classname,attr"`
				Name    string     `xml:"name,attr"`
				Failure *junitText `xml:"failure"`
				Error   *junitText `xml:"error"`
				Skipped *junitText `xml:"skipped"`
				Out     string     `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &whole); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	onlyXML(t, text)
	var sum junitSums
	for _, s := range whole.Suites {
		var of junitSums
		for _, c := range s.Cases {
			of.Tests++
			if c.Name == "" || c.Class == "" {
				t.Errorf("a case without a name: %+v", c)
			}
			for _, part := range []struct {
				text *junitText
				n    *int
			}{{c.Failure, &of.Failures}, {c.Error, &of.Errors}, {c.Skipped, &of.Skipped}} {
				if part.text != nil {
					*part.n++
				}
			}
		}
		if of != s.junitSums || s.Name == "" {
			t.Errorf("suite %q says %+v and holds %+v", s.Name, s.junitSums, of)
		}
		sum = junitSums{sum.Tests + of.Tests, sum.Failures + of.Failures, sum.Errors + of.Errors, sum.Skipped + of.Skipped}
	}
	if sum != whole.junitSums {
		t.Errorf("the whole says %+v and holds %+v", whole.junitSums, sum)
	}
	closed := entry.Decision.Outcome != release.Pass && entry.Decision.Outcome != release.Warn
	if len(whole.Suites) != len(entry.Decision.Scans)+1 || (whole.Suites[0].Failures == 1) != closed {
		t.Errorf("%d suites, the first with %d failures, decision %q", len(whole.Suites), whole.Suites[0].Failures, entry.Decision.Outcome)
	}
}

// onlyXML walks the tokens and looks at every character.
func onlyXML(t *testing.T, text []byte) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token.(type) {
		case xml.Comment, xml.Directive:
			t.Errorf("%T in JUnit XML", token)
		}
	}
	if !utf8.Valid(text) || strings.ContainsFunc(string(text), func(r rune) bool {
		return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0xfffe || r == 0xffff
	}) {
		t.Errorf("a character that is not for XML or not for eyes in %q", text)
	}
}

func checkGitLab(t *testing.T, entry release.Entry, text []byte) {
	t.Helper()
	s, err := schema.Open(schema.GitLab)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(text); err != nil {
		t.Errorf("not as the schema says: %v\n%s", err, text)
	}
	var file struct {
		Scan            struct{ Status string }
		Vulnerabilities []struct{ ID, Description string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, v := range file.Vulnerabilities {
		if ids[v.ID] {
			t.Errorf("two vulnerabilities of the id %s", v.ID)
		}
		ids[v.ID] = true
		if o := outlineOf(v.Description); len(o.faults) > 0 {
			t.Errorf("%q is live: %s", v.Description, strings.Join(o.faults, "; "))
		}
	}
	whole := !slices.ContainsFunc(entry.Decision.Scans, func(s release.ScanSummary) bool {
		return s.Completeness != release.ScanComplete && s.Completeness != release.ScanUnknown
	})
	if (file.Scan.Status == "success") != whole {
		t.Errorf("status %s, and that every scan is whole is %t", file.Scan.Status, whole)
	}
}

// TestGitLabHoldsWhatBlocks: a result of any kind that blocks is a vulnerability; what the tool
// calls fine is none.
func TestGitLabHoldsWhatBlocks(t *testing.T) {
	t.Parallel()
	judged := func(kind release.Kind, verb release.Verb) release.Judgement {
		return release.Judgement{Verb: verb, Finding: release.Finding{Tool: "t", Rule: string(kind) + " " + string(verb), Kind: kind}}
	}
	text, err := report.GitLab(release.Entry{Decision: &release.Decision{Judgements: []release.Judgement{
		judged(release.KindPass, release.Block), judged(release.KindNotApplicable, release.Notice), judged(release.KindFail, release.Allow),
		judged(release.KindPass, release.Allow), judged(release.KindNotApplicable, release.Allow),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vulnerabilities []struct{ Name string } }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range file.Vulnerabilities {
		got = append(got, v.Name)
	}
	if want := []string{"pass block", "notApplicable notice", "fail allow"}; !slices.Equal(got, want) {
		t.Errorf("vulnerabilities %q, want %q", got, want)
	}
}

// TestEscapedMessagesAreToldPlainly: some tools write &lt; where they mean <. Once is undone,
// and nothing of it is live.
func TestEscapedMessagesAreToldPlainly(t *testing.T) {
	t.Parallel()
	entry := release.Entry{Step: "gate", Decision: &release.Decision{Outcome: release.Fail, Judgements: []release.Judgement{
		{Verb: release.Block, Finding: release.Finding{Tool: "t", Rule: "r", Message: "&lt;script&gt; a &amp;amp; b &#39;c&#39; ?x&copy=1"}},
	}}}
	if text := report.Entry(entry); !strings.Contains(text, "<script> a &amp; b 'c' ?x&copy=1") {
		t.Errorf("on a terminal:\n%s", text)
	}
	page := report.Summary(release.Record{Entries: []release.Entry{entry}}, report.Options{})
	if !strings.Contains(page, "&lt;script&gt; a &amp;amp; b 'c' ?x&amp;copy=1") {
		t.Errorf("in Markdown:\n%s", page)
	}
}

// TestAnAddressStaysWhole where a line of the page has room for it.
func TestAnAddressStaysWhole(t *testing.T) {
	t.Parallel()
	address := "https://example.com/"
	for _, n := range []int{62, 63, 78} {
		address += strings.Repeat("x", n-len(address))
		entry := release.Entry{Step: "gate", Decision: &release.Decision{Outcome: release.Fail, Judgements: []release.Judgement{
			{Verb: release.Block, Finding: release.Finding{Tool: "t", Rule: "r", Help: address}},
		}}}
		if text := report.Entry(entry); !strings.Contains(text, address+"\n") {
			t.Errorf("an address of %d columns is broken:\n%s", n, text)
		}
	}
}

// TestSourceLines: the line stands below the row, never that of a secret, and never live.
func TestSourceLines(t *testing.T) {
	t.Parallel()
	record := cases(t)["fail"]
	source := func(at release.Location) string {
		return "\trows := db.Query(\"\u202e\" + \x1b[31m::error::" + strings.Repeat("語", at.Line) + strings.Repeat("x", 1<<20)
	}
	text := report.Text(record, report.Options{Source: source})
	plainPage(t, text)
	if n := strings.Count(text, "> rows := db.Query(\"[U+202E]\" + [U+001B][31m::error::"); n != 3 {
		t.Errorf("%d lines of the source in\n%s", n, text)
	}
	for i := range record.Entries[0].Decision.Judgements {
		record.Entries[0].Decision.Judgements[i].Finding.Secret = true
	}
	if text := report.Text(record, report.Options{Source: source}); strings.Contains(text, "db.Query") {
		t.Errorf("the line of a secret is shown:\n%s", text)
	}
}
