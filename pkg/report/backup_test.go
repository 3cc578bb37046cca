// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"
	"testing"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/pkg/report"
)

// What was spoken without TLS is said on the terminal and in the comment, and the server's name
// is nobody's Markdown.
func TestACopyInTheClearIsTold(t *testing.T) {
	t.Parallel()
	copies := release.Copies{
		Repository: "s3://backups/shop", InClear: "http://minio.example:9000<img src=x>",
		Backups: []release.Backup{{ID: "1c227b44b0137fb247c8333baca99c08", Volume: "data", Files: 2, Bytes: 8}},
	}
	text := report.Copies(copies)
	if !strings.Contains(text, "! without TLS") || !strings.Contains(text, "http://minio.example:9000") {
		t.Errorf("told as %s", text)
	}
	record := release.Record{Entries: []release.Entry{{Step: "backup-save", Copies: &copies}}}
	page := report.Comment(record, report.Options{})
	if !strings.Contains(page, "spoken to in the clear") || strings.Contains(page, "<img") {
		t.Errorf("commented as %s", page)
	}
	copies.InClear = ""
	if text, page := report.Copies(copies), report.Comment(record, report.Options{}); strings.Contains(text+page, "the clear") {
		t.Errorf("told without reason: %s %s", text, page)
	}
}

// The command that restores stays on one line, so that it can be copied.
func TestTheCommandThatRestoresIsWhole(t *testing.T) {
	t.Parallel()
	place := "/home/somebody/.local/share/knowngood/repository/shop/a-rather-long-environment-name"
	text := report.Copies(release.Copies{Repository: place, Backups: []release.Backup{{ID: "1c227b44b0137fb247c8333baca99c08", Volume: "data"}}})
	want := "knowngood backup restore 1c227b44b0137fb247c8333baca99c08 --repository " + place + " --to FOLDER\n"
	if !strings.Contains(text, want) {
		t.Errorf("told as %s", text)
	}
}

// A raw device is no number of files.
func TestABackupOfADeviceIsToldAsOne(t *testing.T) {
	t.Parallel()
	b := release.Backup{ID: "1c227b44b0137fb247c8333baca99c08", Volume: "disk", Device: true, Files: 1, Bytes: 1 << 30}
	b.Verified = &release.Verification{Proved: true, Files: 1, Bytes: 1 << 30, Seconds: 2}
	copies := release.Copies{Repository: "s3://backups/shop", Backups: []release.Backup{b}}
	record := release.Record{Entries: []release.Entry{{Step: "backup-save", Copies: &copies}}}
	for name, text := range map[string]string{
		"told": report.Copies(copies), "restored": report.Restored(release.Backup{Device: true, Bytes: 1 << 30}, "/dev/vdb"), "commented": report.Comment(record, report.Options{}),
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), "a raw device, 1 GiB") {
			t.Errorf("%s as %s", name, text)
		}
	}
	if text := report.Copies(copies); !strings.Contains(text, "restored a raw device, 1 GiB in 2") {
		t.Errorf("proved as %s", text)
	}
	if text := report.Backups([]release.Backup{b}); !strings.Contains(text, "device      1 GiB") {
		t.Errorf("listed as %s", text)
	}
}

// A backup that was saved and then verified is told once, with its proof.
func TestABackupIsToldOnce(t *testing.T) {
	t.Parallel()
	saved := release.Backup{ID: "1c227b44b0137fb247c8333baca99c08", Volume: "data", Files: 2}
	other := release.Backup{ID: "449f4a9cdf56ec97af6f47c812d8c511", Volume: "more", Files: 3}
	proved := saved
	proved.Verified = &release.Verification{Proved: true, Files: 2}
	text := report.Text(release.Record{Entries: []release.Entry{
		{Step: "backup-save", Copies: &release.Copies{Repository: "s3://backups/shop", InClear: "http://minio:9000", Backups: []release.Backup{saved, other}}},
		{Step: "backup-verify", Copies: &release.Copies{Repository: "s3://backups/shop", InClear: "http://minio:9000", Backups: []release.Backup{proved}}},
	}}, report.Options{})
	for what, n := range map[string]int{saved.ID + " of data": 1, other.ID + " of more": 1, "  proved ": 1, "! without TLS": 1} {
		if got := strings.Count(text, what); got != n {
			t.Errorf("%q stands there %d times, want %d:\n%s", what, got, n, text)
		}
	}
}
