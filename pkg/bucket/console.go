// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"net/url"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Console returns the page of the provider's own console about the bucket and the prefix, "" for
// a folder and for a server that only speaks like a provider. emulator names the server that
// stands in for Google's, as STORAGE_EMULATOR_HOST does, "" for none: the client does not tell.
//
// Azure's portal addresses a container by its subscription, which no address of a bucket holds:
// the page is the list of storage accounts.
func (b *Bucket) Console(emulator string) string {
	var amazon *s3.Client
	var google *storage.Client
	var azure *container.Client
	switch {
	case b.As(&amazon):
		return b.amazonConsole(amazon.Options())
	case b.As(&google):
		if emulator != "" || b.at.target.Query().Get("universe_domain") != "" {
			return ""
		}
		return "https://console.cloud.google.com/storage/browser/" + pathOf(strings.TrimSuffix(b.at.target.Host+"/"+b.at.prefix, "/"))
	case b.As(&azure):
		at, err := url.Parse(azure.URL())
		if err == nil && strings.HasSuffix(strings.ToLower(at.Hostname()), ".blob.core.windows.net") {
			return "https://portal.azure.com/#browse/Microsoft.Storage%2FStorageAccounts"
		}
	}
	return ""
}

func (b *Bucket) amazonConsole(options s3.Options) string {
	if b.at.target.Query().Get("endpoint") != "" || options.BaseEndpoint != nil {
		return ""
	}
	host := "console.aws.amazon.com"
	switch region := options.Region; {
	case strings.HasPrefix(region, "cn-"):
		host = "console.amazonaws.cn"
	case strings.HasPrefix(region, "us-gov-"):
		host = "console.amazonaws-us-gov.com"
	case strings.HasPrefix(region, "us-iso"), strings.HasPrefix(region, "eu-isoe"), strings.HasPrefix(region, "eusc-"):
		return "" // consoles of their own
	}
	query := url.Values{}
	if options.Region != "" {
		query.Set("region", options.Region)
	}
	if b.at.prefix != "" {
		query.Set("prefix", b.at.prefix)
	}
	page := url.URL{Scheme: "https", Host: host, Path: "/s3/buckets/" + b.at.target.Host, RawQuery: query.Encode()}
	return page.String()
}

// pathOf writes a path so that it stays one, whatever is in it.
func pathOf(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
