// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/knowngood/knowngood/pkg/fault"
)

// A Link is a signed address by which anybody reads one object until it expires, without
// credentials of the bucket. It is as secret as the object.
type Link struct {
	URL     string    `json:"url"`
	Size    int64     `json:"size"`
	Written time.Time `json:"written"`
}

// LongestLink is the longest that a signed link is asked to last: a week, the most that S3 and
// Google sign for.
const LongestLink = 7 * 24 * time.Hour

// Sign returns a link to each object. Links that credentials of a session signed end with the
// session, however long they were asked to last.
func (b *Bucket) Sign(ctx context.Context, objects []Object, expiry time.Duration) (map[string]Link, error) {
	links := make(map[string]Link, len(objects))
	for _, object := range objects {
		address, err := b.SignedURL(ctx, object.Key, &blob.SignedURLOptions{Expiry: expiry, Method: http.MethodGet})
		if b.at.scheme == "file" || b.at.scheme == "mem" || gcerrors.Code(err) == gcerrors.Unimplemented {
			return nil, fault.Hint(fault.Usagef("%s signs no links", b.Place("")),
				"a folder has none, and a bucket needs credentials that sign: keys of S3, a service account of Google, the account's key of Azure")
		} else if err != nil {
			return nil, b.at.explain("sign a link to", object.Key, err)
		}
		links[object.Key] = Link{URL: address, Size: object.Size, Written: object.Written}
	}
	return links, nil
}

// OpenLinks returns a bucket that holds what links lead to, and cannot be written to. name is what
// people read as its place. The links come from a file that anybody can have written.
func OpenLinks(name string, links map[string]Link) (*Bucket, error) {
	first := ""
	for key, link := range links {
		at, err := url.Parse(link.URL)
		switch {
		case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil:
			return nil, fault.Usagef("the link to %.80q is no address", key) // which is not shown: it is secret
		case !plain(key) || link.Size < 0:
			return nil, fault.Usagef("%.80q is no name of an object", key)
		}
		if first == "" || inClear(link.URL, false) != "" {
			first = at.Scheme + "://" + at.Host
		}
	}
	if first == "" {
		return nil, fault.Usagef("%s holds no links", name)
	}
	driver := &linked{links: links, keys: slices.Sorted(maps.Keys(links)), client: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerTime, ForceAttemptHTTP2: true,
	}}}
	return &Bucket{Bucket: blob.NewBucket(driver), at: address{scheme: linkScheme, target: url.URL{Host: name}, server: first}}, nil
}

// linkScheme is the scheme of a bucket that links lead to, which no place can name.
const linkScheme = "links"

// answerTime is how long a server may take to begin an answer.
const answerTime = time.Minute

// answeredBy is an error with which a server answered a link.
type answeredBy struct {
	status int
	text   string
}

// Error implements error.
func (a answeredBy) Error() string { return a.text }

// HTTPStatusCode is the status of the answer.
func (a answeredBy) HTTPStatusCode() int { return a.status }

var (
	errNoLink  = errors.New("there is no link to it")
	errReading = errors.New("links only read")
)

// request asks for a range of an object; the error of it holds no link.
func (l *linked) request(ctx context.Context, key string, offset, length int64) (*http.Response, error) {
	link, ok := l.links[key]
	if !ok {
		return nil, errNoLink
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link.URL, http.NoBody)
	if err != nil {
		return nil, errors.New("its link is no address")
	}
	if offset > 0 || length >= 0 {
		last := ""
		if length >= 0 {
			last = fmt.Sprint(offset + length - 1)
		}
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%s", offset, last))
	}
	response, err := l.client.Do(request)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPartialContent {
		return response, nil
	}
	_ = response.Body.Close()
	text := "the server answers " + response.Status
	if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusBadRequest {
		text += ": the link may have expired"
	}
	return nil, answeredBy{response.StatusCode, strings.TrimSpace(text)}
}
