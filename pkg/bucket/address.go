// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knowngood/knowngood/pkg/fault"
)

// An address is a parsed place.
type address struct {
	scheme string
	// target is what the driver opens: without prefix, which is ours to apply.
	target url.URL
	// prefix is "" or ends in a slash.
	prefix string
	// raw is what the person wrote; it may hold secrets and is used to find them alone.
	raw string
}

var (
	schemes = []string{"file", "mem", "s3", "gs", "azblob"}
	// oneSlash finds s3:/bucket and s3:bucket/x, which would otherwise be folders.
	oneSlash = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)
)

const forms = "write a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix"

func parse(text string) (address, error) {
	if strings.TrimSpace(text) == "" {
		return address{}, fault.Hint(fault.Usagef("the place of a bucket is empty"), forms)
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		if oneSlash.MatchString(text) || strings.ContainsRune(text, 0) {
			return address{}, fault.Hint(fault.Usagef("bucket %q is neither a folder nor a URL", Redact(text)), forms)
		}
		return address{scheme: "file", target: folderURL(text), raw: text}, nil
	}
	if !slices.Contains(schemes, scheme) {
		return address{}, fault.Hint(fault.Usagef("bucket %q: no such kind of bucket", Redact(text)), forms)
	}
	target, err := url.Parse(text)
	if err != nil {
		// The parser's own error repeats the text, secrets and all.
		return address{}, fault.Hint(fault.Usagef("bucket %q is not a URL that can be read", Redact(text)), forms)
	}
	return check(address{scheme: scheme, target: *target, raw: text})
}

// folderURL writes a folder as the file driver reads it: a host of "." says "relative".
func folderURL(folder string) url.URL {
	if filepath.IsAbs(folder) {
		return url.URL{Scheme: "file", Path: folder}
	}
	return url.URL{Scheme: "file", Host: ".", Path: "/" + folder}
}

func check(a address) (address, error) {
	usage := func(hint, format string) (address, error) {
		return address{}, fault.Hint(fault.Usagef("bucket %q: "+format, Redact(a.raw)), "%s", hint)
	}
	query := a.target.Query()
	switch {
	case a.target.User != nil:
		return usage("take them out, and give credentials as the provider's own tools read them (environment, profile, role)",
			"credentials do not belong into a URL")
	case a.target.Fragment != "" || a.target.Opaque != "":
		return usage(forms, "a # has no meaning here; in a folder's name write %%23")
	case query.Has("key"):
		return usage("take key out of the query", "key would send every object to one name")
	case a.scheme == "mem":
		return a, nil
	case a.scheme == "file" && !slices.Contains([]string{"", ".", "localhost"}, a.target.Host):
		return usage("write file:///folder with three slashes, or the folder alone", "a file URL has no host")
	case a.scheme == "file" && strings.Trim(a.target.Path, "/") == "" && a.target.Host != ".":
		return usage(forms, "the folder is missing")
	case a.scheme != "file" && a.target.Host == "":
		return usage(forms, "the bucket's name is missing")
	}
	return withPrefix(a, query), nil
}

// withPrefix takes the prefix out of the path and the query. The drivers ignore the path of
// s3://bucket/path in silence, and glue a prefix without its slash to the keys.
func withPrefix(a address, query url.Values) address {
	parts := []string{query.Get("prefix")}
	query.Del("prefix")
	a.target.RawQuery = query.Encode()
	if a.scheme != "file" {
		parts = append([]string{a.target.Path}, parts...)
		a.target.Path, a.target.RawPath = "", ""
	}
	for _, part := range parts {
		if part = strings.Trim(part, "/"); part != "" {
			a.prefix += part + "/"
		}
	}
	return a
}

// folder is the directory of a file bucket, without the prefix.
func (a address) folder() string {
	if a.target.Host == "." {
		return filepath.FromSlash(strings.TrimPrefix(a.target.Path, "/"))
	}
	return filepath.FromSlash(a.target.Path)
}

// place names an object, or with an empty key the bucket, without secrets.
func (a address) place(key string) string {
	if a.scheme == "file" {
		return filepath.Join(a.folder(), filepath.FromSlash(a.prefix+key))
	}
	return a.scheme + "://" + strings.TrimSuffix(a.target.Host+"/"+a.prefix+key, "/")
}

// Locate returns text with a relative folder read against dir, and URLs as they are.
func Locate(dir, text string) string {
	if text == "" || strings.Contains(text, "://") || oneSlash.MatchString(text) || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(dir, text)
}

// shown are the query parameters whose values hold no secret. All others are hidden.
var shown = []string{
	"accelerate", "anonymous", "cdn", "create_dir", "dir_file_mode", "disable_https", "domain", "dualstack", "fips", "grpc",
	"hostname_immutable", "localemu", "metadata", "no_tmp_dir", "nomd5", "prefix", "profile", "protocol", "region",
	"request_checksum_calculation", "response_checksum_validation", "s3ForcePathStyle", "storage_account", "universe_domain",
	"use_path_style", "zonal",
}

// Redact returns the place as it may be printed: without user information and without the
// value of any query parameter that could be a secret.
func Redact(text string) string {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		return text
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return scheme + "://***"
	}
	if parsed.User != nil {
		parsed.User = url.User("redacted")
	}
	query := parsed.Query()
	for name, values := range query {
		for i := range values {
			switch {
			case name == "endpoint":
				values[i] = Redact(values[i])
			case !slices.Contains(shown, name):
				values[i] = "redacted"
			}
		}
	}
	parsed.RawQuery = query.Encode()
	parsed.Fragment, parsed.RawFragment = "", ""
	return parsed.String()
}
