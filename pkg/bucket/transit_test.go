// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"testing"

	"github.com/knowngood/knowngood/pkg/bucket"
)

func TestWhoCouldListen(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	for place, want := range map[string]string{
		"mem://":   "",
		"s3://b/p": "",
		"s3://b?endpoint=https%3A%2F%2Fminio.example":                    "",
		"s3://b?endpoint=http%3A%2F%2Fminio.example%3A9000":              "http://minio.example:9000",
		"s3://b?endpoint=HTTP%3A%2F%2Fminio.example":                     "http://minio.example",
		"s3://b?endpoint=https%3A%2F%2Fminio.example&disable_https=true": "http://minio.example",
		"s3://b?disable_https=true":                                      "http://s3.amazonaws.com",
		"s3://b?endpoint=http%3A%2F%2F127.0.0.1%3A9000":                  "",
		"s3://b?endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A9000":              "",
		"s3://b?endpoint=http%3A%2F%2Flocalhost.example":                 "http://localhost.example",
		"s3://b?endpoint=http%3A%2F%2F127.0.0.1.example":                 "http://127.0.0.1.example",
		"s3://b?endpoint=http%3A%2F%2F127.0.0.1%40far.example":           "http://far.example",
		"azblob://c": "",
		"azblob://c?protocol=http&domain=127.0.0.1:10000&localemu=true":        "",
		"azblob://c?protocol=http&domain=azurite.example:10000&localemu=true":  "http://azurite.example:10000",
		"azblob://c?protocol=https&domain=azurite.example:10000&localemu=true": "",
	} {
		opened, err := bucket.Open(t.Context(), place)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		if got := opened.InClear(); got != want {
			t.Errorf("InClear of %s = %q, want %q", place, got, want)
		}
		opened.Close()
	}
}

// The client takes an endpoint from the environment too.
func TestWhoCouldListenByTheEnvironment(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://minio.example:9000")
	opened, err := bucket.Open(t.Context(), "s3://b")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if got := opened.InClear(); got != "http://minio.example:9000" {
		t.Errorf("InClear = %q", got)
	}
}
