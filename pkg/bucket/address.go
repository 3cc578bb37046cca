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
	// server is where links lead to, "" for a bucket that is none of links.
	server string
}

// oneSlash finds s3:/bucket and s3:bucket/x, which would otherwise be folders.
var oneSlash = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

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
	if !slices.Contains([]string{"file", "mem", "s3", "gs", "azblob"}, scheme) {
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
// s3://bucket/path in silence, and glue a prefix without its slash to the keys. In a folder
// the prefix is a folder, because the file driver cannot list every prefix that it writes.
func withPrefix(a address, query url.Values) address {
	prefix := query.Get("prefix")
	query.Del("prefix")
	a.target.RawQuery = query.Encode()
	if a.scheme == "file" {
		a.target = *a.target.JoinPath(prefix)
		return a
	}
	path := a.target.Path
	a.target.Path, a.target.RawPath = "", ""
	for _, part := range []string{path, prefix} {
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
	switch a.scheme {
	case "file":
		return filepath.Join(a.folder(), filepath.FromSlash(a.prefix+key))
	case linkScheme:
		return strings.TrimSuffix(a.target.Host+"#"+key, "#")
	}
	return a.scheme + "://" + strings.TrimSuffix(a.target.Host+"/"+a.prefix+key, "/")
}

// Locate returns text with a relative folder read against dir, and all else as it is.
func Locate(dir, text string) string {
	at, err := parse(text)
	if err != nil || at.scheme != "file" || filepath.IsAbs(at.folder()) {
		return text
	}
	if !strings.Contains(text, "://") {
		return filepath.Join(dir, text)
	}
	at.target.Host, at.target.Path = "", filepath.Join(dir, at.folder())
	return at.target.String()
}

// shown tells whether the value of a query parameter holds no secret. All others are hidden.
func shown(parameter string) bool {
	switch parameter {
	case "accelerate", "anonymous", "cdn", "create_dir", "dir_file_mode", "disable_https", "domain", "dualstack", "fips", "grpc",
		"hostname_immutable", "localemu", "metadata", "no_tmp_dir", "nomd5", "prefix", "profile", "protocol", "region",
		"request_checksum_calculation", "response_checksum_validation", "s3ForcePathStyle", "storage_account", "universe_domain",
		"use_path_style", "zonal":
		return true
	}
	return false
}

// Redact returns the place as it may be printed: without user information, without query
// parameters that could be or hold a secret, and without what cannot be read as a URL.
func Redact(text string) string {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		if start := oneSlash.FindString(text); start != "" {
			return start + "***"
		}
		return text
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Opaque != "" {
		return scheme + "://***"
	}
	if parsed.User != nil {
		parsed.User = url.User(hidden)
	}
	query, kept, more := parsed.Query(), url.Values{}, ""
	for name, values := range query {
		switch {
		case shown(name):
			kept[name] = values
		case name == "endpoint":
			kept.Set(name, server(values[0]))
		default:
			more = "&" + hidden // the name too: "?s3cret" is a name
		}
	}
	parsed.RawQuery = strings.TrimPrefix(kept.Encode()+more, "&")
	parsed.ForceQuery, parsed.Fragment, parsed.RawFragment = false, "", ""
	return parsed.String()
}

// Hides tells whether a place has something that Redact does not show, beside what any place may
// have: it can be or hold a secret.
func Hides(text string) bool {
	if !strings.Contains(text, "://") {
		return Redact(text) != text
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Opaque != "" || parsed.User != nil || parsed.Fragment != "" {
		return true
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	for name, values := range query {
		if name != "endpoint" && !shown(name) {
			return true
		}
		if name == "endpoint" && slices.ContainsFunc(values, func(value string) bool { return strings.TrimSuffix(value, "/") != server(value) }) {
			return true
		}
	}
	return err != nil
}

const hidden = "redacted"

// server returns scheme and host of an address, which is all of it that is shown.
func server(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return hidden
	}
	return parsed.Scheme + "://" + parsed.Host
}
