// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"net"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// InClear returns the server that the bucket is reached at without TLS, "" where there is
// none. What stays on this machine, by a loopback address, is on no way where somebody could
// listen. The client itself is asked, which knows endpoints from its environment and profile too.
// An emulator of Google's buckets, which STORAGE_EMULATOR_HOST names, is not noticed.
func (b *Bucket) InClear() string {
	var amazon *s3.Client
	var azure *container.Client
	switch {
	case b.at.scheme == linkScheme:
		return inClear(b.at.server, false)
	case b.As(&amazon):
		options := amazon.Options()
		endpoint := "https://s3.amazonaws.com"
		if named := b.at.target.Query().Get("endpoint"); named != "" {
			endpoint = named
		} else if options.BaseEndpoint != nil {
			endpoint = *options.BaseEndpoint
		}
		return inClear(endpoint, options.EndpointOptions.DisableHTTPS)
	case b.As(&azure):
		return inClear(azure.URL(), false)
	}
	return ""
}

// Check reads a place without opening it, for one that others will open: its form, and the server
// that it names without TLS, "" for none. What the environment of others adds is not known here.
func Check(place string) (server string, err error) {
	at, err := parse(place)
	if err != nil {
		return "", err
	}
	query := at.target.Query()
	endpoint, insecure := query.Get("endpoint"), query.Get("disable_https") == "true" || query.Get("protocol") == "http"
	switch {
	case endpoint != "":
		return inClear(endpoint, insecure), nil
	case insecure:
		return "http://" + at.target.Host, nil
	}
	return "", nil
}

// inClear returns the server of an address without TLS. forced tells that the client speaks
// HTTP whatever the address says.
func inClear(endpoint string, forced bool) string {
	at, err := url.Parse(endpoint)
	if err != nil {
		return hidden
	}
	if strings.EqualFold(at.Scheme, "https") && !forced || loopback(at.Hostname()) {
		return ""
	}
	return "http://" + at.Host
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
