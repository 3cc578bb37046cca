// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

const (
	keepsVersions = `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`
	locksAll      = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>`
	rulesOfOthers = `<LifecycleConfiguration>
<Rule><ID>logs</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>3</Days></Expiration></Rule>
<Rule><ID>off</ID><Status>Disabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>3</Days></Expiration></Rule>
<Rule><ID>tagged</ID><Status>Enabled</Status><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Expiration><Days>3</Days></Expiration></Rule>
<Rule><ID>old versions</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>
</LifecycleConfiguration>`
	ruleOfAll = `<LifecycleConfiguration>
<Rule><ID>all</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>90</Days></Expiration>
<Transition><Days>30</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition></Rule>
</LifecycleConfiguration>`
)

// asked is an S3 server that answers questions about its bucket by their name, and its number of
// requests. An answer that begins with a digit is a status.
func asked(t *testing.T, answers map[string]string) (*bucket.Bucket, *atomic.Int32) {
	t.Helper()
	store := s3mem.New()
	if err := store.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	inner, requests := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server(), &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer, known := answers[r.Method]
		for _, name := range []string{"lifecycle", "versioning", "object-lock"} {
			if r.URL.Query().Has(name) {
				if answer, known = answers[name]; !known {
					answer, known = "403", true
				}
			}
		}
		var status int
		if n, _ := fmt.Sscanf(answer, "%d", &status); n == 1 {
			w.WriteHeader(status)
		} else if known {
			_, _ = w.Write([]byte(answer))
		} else {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	b, err := bucket.Open(t.Context(), "s3://backups/team?region=us-east-1&use_path_style=true&anonymous=true&endpoint="+url.QueryEscape(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, requests
}

func TestExamineTellsWhatABucketDoes(t *testing.T) {
	t.Parallel()
	whole := release.Probe{Creates: true, Deletes: true}
	with := func(change func(*release.Probe)) release.Probe { p := whole; change(&p); return p }
	for name, one := range map[string]struct {
		answers  map[string]string
		want     release.Probe
		concerns []string
	}{
		"nothing may be asked": {nil, with(func(p *release.Probe) { p.Locks, p.Versions, p.Expiry = "not known", "not known", "not known" }), nil},
		"nothing is there": {
			map[string]string{"lifecycle": "404", "object-lock": "404", "versioning": "<VersioningConfiguration/>"},
			with(func(p *release.Probe) { p.Locks, p.Versions, p.Expiry = "none", "none", "none" }), nil,
		},
		"rules of others": {
			map[string]string{"lifecycle": rulesOfOthers, "object-lock": "404", "versioning": keepsVersions},
			with(func(p *release.Probe) { p.Locks, p.Versions, p.Expiry = "none", "kept", "none" }), nil,
		},
		"everything goes, and is locked": {
			map[string]string{"lifecycle": ruleOfAll, "object-lock": locksAll, "versioning": keepsVersions},
			with(func(p *release.Probe) {
				p.Locks, p.Versions, p.Expiry = "every object for 30 days, compliance", "kept", "90 days"
			}),
			[]string{"freed only when that is over", `rule "all" of the bucket deletes objects of the repository after 90 days`, "moves objects of the repository to DEEP_ARCHIVE"},
		},
		"nothing may be deleted": {
			map[string]string{http.MethodDelete: "403", "lifecycle": "404", "object-lock": "404", "versioning": keepsVersions},
			with(func(p *release.Probe) { p.Deletes, p.Locks, p.Versions, p.Expiry = false, "none", "kept", "none" }),
			[]string{"nothing may be deleted: prune frees nothing, and a lease is over only when it runs out; check the credentials, and grant s3:DeleteObject on arn:aws:s3:::backups/team/*"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, requests := asked(t, one.answers)
			got, err := b.Examine(t.Context(), "probe-", time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Concerns) != len(one.concerns) {
				t.Errorf("%q", got.Concerns)
			}
			for i, want := range one.concerns {
				if i < len(got.Concerns) && !strings.Contains(got.Concerns[i], want) {
					t.Errorf("%q, want %q", got.Concerns[i], want)
				}
			}
			got.Concerns, got.Ahead = nil, 0
			if diff := cmp.Diff(one.want, got); diff != "" {
				t.Error(diff)
			}
			if n := requests.Load(); n > 9 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What a repository cannot do without ends with words that say what is missing, and the cure.
func TestExamineRefusesWhatCannotServe(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		answers map[string]string
		text    string
	}{
		"no writing": {map[string]string{http.MethodPut: "403"}, "the bucket cannot be written to"},
		"a cache":    {map[string]string{http.MethodGet: "<html>cached</html>"}, "returns something else than was written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := asked(t, one.answers)
			_, err := b.Examine(t.Context(), "probe-", time.Now)
			if err == nil || !strings.Contains(err.Error(), one.text) || len(fault.Hints(err)) == 0 {
				t.Errorf("%v, hints %q", err, fault.Hints(err))
			}
		})
	}
}

func TestExamineOfAFolderLeavesNothing(t *testing.T) {
	t.Parallel()
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := b.Examine(t.Context(), "probe-", time.Now)
	if err != nil || !got.Creates || !got.Deletes || got.Locks != "none" || got.Expiry != "none" || len(got.Concerns) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for key := range b.Keys(context.WithoutCancel(t.Context()), "") {
		t.Errorf("%s is left", key)
	}
}
