// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"testing"

	"github.com/knowngood/knowngood/pkg/bucket"
)

func TestTheConsoleOfAProvider(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "tester")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "acme")
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, one := range []struct{ place, emulator, want string }{
		{"s3://backups/team shop?region=eu-central-1", "", "https://console.aws.amazon.com/s3/buckets/backups?prefix=team+shop%2F&region=eu-central-1"},
		{"s3://backups?region=cn-north-1", "", "https://console.amazonaws.cn/s3/buckets/backups?region=cn-north-1"},
		{"s3://backups?region=us-gov-west-1", "", "https://console.amazonaws-us-gov.com/s3/buckets/backups?region=us-gov-west-1"},
		{"s3://backups?region=us-iso-east-1", "", ""},
		{"s3://backups?region=us-east-1&endpoint=https://minio.example", "", ""},
		{"gs://backups/team/a b?anonymous=true", "", "https://console.cloud.google.com/storage/browser/backups/team/a%20b"},
		{"gs://backups?anonymous=true", "localhost:4443", ""},
		{"azblob://backups/team", "", "https://portal.azure.com/#browse/Microsoft.Storage%2FStorageAccounts"},
		{"azblob://backups?protocol=http&localemu=true&domain=localhost:10000", "", ""},
		{"azblob://backups?domain=blob.example.org", "", ""},
		{t.TempDir(), "", ""},
		{"mem://", "", ""},
	} {
		b, err := bucket.Open(t.Context(), one.place)
		if err != nil {
			t.Errorf("%s: %v", one.place, err)
			continue
		}
		if got := b.Console(one.emulator); got != one.want {
			t.Errorf("%s: %q, want %q", one.place, got, one.want)
		}
		b.Close()
	}
	// The client finds an endpoint in its environment too.
	t.Setenv("AWS_ENDPOINT_URL", "https://minio.example")
	b, err := bucket.Open(t.Context(), "s3://backups?region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := b.Console(""); got != "" {
		t.Errorf("a server that is not the provider's: %q", got)
	}
}
