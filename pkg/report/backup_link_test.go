// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

func TestALinkTemplateChoosesItsHostAlone(t *testing.T) {
	t.Parallel()
	for template, good := range map[string]bool{
		"": true,
		"https://backups.example/{place}?id={id}&c={commit}": true,
		"http://127.0.0.1:8080/b/{id}":                       true,
		"javascript:alert({id})":                             false,
		"https://{place}/x":                                  false,
		"https://{id}.example/x":                             false,
		"https://user:secret@backups.example/{id}":           false,
		"/b/{id}":                          false,
		"https://backups.example/{secret}": false,
		"https://backups.example/) [x](https://evil.example": false,
		"https://backups.example/\x1b[2J":                    false,
	} {
		err := CheckLinkTemplate(template)
		if (err == nil) != good || err != nil && (fault.StatusOf(err) != fault.Usage || len(fault.Hints(err)) == 0) {
			t.Errorf("%q: %v", template, err)
		}
	}
}

func TestABackupIsALinkWhereTheTemplateSaysSo(t *testing.T) {
	t.Parallel()
	record := func(b release.Backup) release.Record {
		return release.Record{Entries: []release.Entry{{Step: "backup-save", State: release.Done, Copies: &release.Copies{
			Repository: "s3://backups/shop", Backups: []release.Backup{b},
		}}}}
	}
	good := release.Backup{ID: "0af1", Commit: "cafe", Volume: "db"}
	template := "https://backups.example/see?place={place}&id={id}&commit={commit}"
	if text := Comment(record(good), Options{}); strings.Contains(text, "](http") || !strings.Contains(text, "knowngood backup restore 0af1") {
		t.Errorf("without a template:\n%s", text)
	}
	want := "[`0af1`](https://backups.example/see?place=s3%3A%2F%2Fbackups%2Fshop&id=0af1&commit=cafe)"
	if text := Comment(record(good), Options{LinkTemplate: template}); !strings.Contains(text, want) {
		t.Errorf("want %s in:\n%s", want, text)
	}
	evil := release.Backup{ID: "x) [evil](https://evil.example/?&id=1#", Commit: "\n|", Volume: "db"}
	want = "`](https://backups.example/see?place=s3%3A%2F%2Fbackups%2Fshop&id=x%29%20%5Bevil%5D%28https%3A%2F%2Fevil.example%2F%3F%26id%3D1%23&commit=%0A%7C) |"
	if text := Comment(record(evil), Options{LinkTemplate: template}); !strings.Contains(text, want) {
		t.Errorf("what is filled in left its place; want %s in:\n%s", want, text)
	}
}
