// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

const storeAddress = "s3://backups/shop?endpoint=http%3A%2F%2Fstore.example%3A9000&region=eu-1&use_path_style=true"

// What the repository was reached by stands in the command, for a shell to read as one word.
func TestTheCommandThatRestoresNamesTheServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, place, address, clear, want string }{
		{"its place is all", "s3://backups/shop", "", "", "--repository s3://backups/shop --to FOLDER"},
		{"a server of one's own", "s3://backups/shop", storeAddress, "", "--repository '" + storeAddress + "' --to FOLDER"},
		{"in the clear", "s3://backups/shop", storeAddress, "http://store.example:9000", "--repository '" + storeAddress + "' --allow-http --to FOLDER"},
		{"a folder with a quote", "/srv/it's here", "", "", `--repository '/srv/it'\''s here' --to FOLDER`},
		{"a flag", "-x y", "", "", ""},
		{"two lines", "/srv/a\n# b", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			copies := release.Copies{Repository: test.place, Address: test.address, InClear: test.clear, Backups: []release.Backup{{ID: "1c227b44b0137fb2", Volume: "data"}}}
			page := report.Comment(release.Record{Entries: []release.Entry{{Step: "backup-save", Copies: &copies}}}, report.Options{})
			for _, text := range []string{report.Copies(copies), page} {
				if test.want == "" && strings.Contains(text, "backup restore") || !strings.Contains(text, test.want) {
					t.Errorf("want %s, told as %s", test.want, text)
				}
			}
		})
	}
}

// Each backup has its command, and many have a general one for each repository.
func TestEveryBackupHasItsCommand(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 5, 6} {
		copies := release.Copies{Repository: "s3://backups/shop", Address: storeAddress}
		for i := range n {
			copies.Backups = append(copies.Backups, release.Backup{ID: fmt.Sprintf("1c227b44b0137fb%d", i), Volume: fmt.Sprint("data-", i)})
		}
		page := report.Comment(release.Record{Entries: []release.Entry{{Step: "backup-save", Copies: &copies}}}, report.Options{})
		want := n
		if n > 5 {
			want = 1
			if !strings.Contains(page, "backup restore BACKUP --repository '"+storeAddress+"'") {
				t.Errorf("%d backups have no general command: %s", n, page)
			}
		}
		if got := strings.Count(page, "knowngood backup restore"); got != want {
			t.Errorf("%d backups have %d commands, want %d:\n%s", n, got, want, page)
		}
	}
}
