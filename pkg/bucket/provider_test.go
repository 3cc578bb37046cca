// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knowngood/knowngood/pkg/bucket"
	"github.com/knowngood/knowngood/pkg/fault"
)

func TestS3SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	denied := func(code string, status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			w.Write([]byte(`<Error><Code>` + code + `</Code><Message>no</Message></Error>`))
		})
	}
	for _, test := range []struct {
		name    string
		handler http.Handler
		hint    string
	}{
		{"denied", denied("AccessDenied", 403), "check the credentials, and grant s3:ListBucket on arn:aws:s3:::records"},
		{"unknown key", denied("InvalidAccessKeyId", 403), "check the credentials, and grant s3:ListBucket on arn:aws:s3:::records"},
		{"expired", denied("ExpiredToken", 403), "check the credentials, and grant s3:ListBucket on arn:aws:s3:::records"},
		{"no bucket", denied("NoSuchBucket", 404), "make the bucket records, or check its name, its region and its account"},
	} {
		b := open(t, s3At(serve(t, test.handler), "records", "/p"))
		err := b.Probe(t.Context(), "v1/")
		if diff := cmp.Diff([]string{test.hint}, fault.Hints(err)); diff != "" {
			t.Errorf("%s: %v: hints (-want +got):\n%s", test.name, err, diff)
		}
	}
	write := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Write([]byte(`<ListBucketResult></ListBucketResult>`))
			return
		}
		denied("AccessDenied", 403).ServeHTTP(w, r)
	})
	err := open(t, s3At(serve(t, write), "records", "/p")).Probe(t.Context(), "v1/")
	if diff := cmp.Diff([]string{"check the credentials, and grant s3:PutObject on arn:aws:s3:::records/p/*"}, fault.Hints(err)); diff != "" {
		t.Errorf("%v: hints (-want +got):\n%s", err, diff)
	}
}

// Credentials that may add and not delete are what an append-only catalog should have.
func TestAProbeNeedsNoRightToDelete(t *testing.T) {
	t.Parallel()
	var put, deleted string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			w.Write([]byte(`<ListBucketResult></ListBucketResult>`))
		case http.MethodPut:
			put = r.URL.Path
		case http.MethodDelete:
			deleted = r.URL.Path
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(`<Error><Code>AccessDenied</Code></Error>`))
		}
	})
	if err := open(t, s3At(serve(t, handler), "records", "")).Probe(t.Context(), "v1/.probe/"); err != nil {
		t.Error(err)
	}
	if put == "" || put != deleted || !strings.HasPrefix(put, "/records/v1/.probe/") {
		t.Errorf("put %q, deleted %q", put, deleted)
	}
}

func TestADeadlineNamesThePlace(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	endpoint := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(func() { close(stuck) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := open(t, s3At(endpoint, "records", "/p")).Probe(ctx, "v1/")
	if !errors.Is(err, context.DeadlineExceeded) || fault.StatusOf(err) != fault.Failed {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"check that s3://records/p can be reached from here"}, fault.Hints(err)); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
}

// The Azure driver's Writer panics when a write fails, and a signed address is part of the
// error of an HTTP client.
func TestAzure(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "devstoreaccount1")
	t.Setenv("AZURE_STORAGE_KEY", base64.StdEncoding.EncodeToString([]byte("key")))
	endpoint := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthorizationPermissionMismatch")
		w.WriteHeader(http.StatusForbidden)
	}))
	place := "azblob://records/p?protocol=http&localemu=true&domain=" + strings.TrimPrefix(endpoint, "http://")
	err := open(t, place).Put(t.Context(), "v1/a.json", []byte("{}"), "application/json")
	if !bucket.IsForbidden(err) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"check the credentials, and grant Storage Blob Data Contributor on container records"}, fault.Hints(err)); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2024&sig=s3cret%2Bs3cret&se=tomorrow")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = open(t, "azblob://records/p?protocol=http&localemu=true&domain=127.0.0.1:1").Probe(ctx, "v1/")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
}

// The clients keep what they read of the environment, so that each of these has a process.
func TestWithoutCredentials(t *testing.T) {
	t.Parallel()
	for place, hint := range map[string]string{
		"s3://records?region=us-east-1": "give AWS credentials as its own tools read them",
		"azblob://records":              "set AZURE_STORAGE_ACCOUNT",
		"s3://records?anonymous=true":   "add ?region=… to the URL, or set AWS_REGION",
		"s3://records?anonymous=true&region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A1": "check that s3://records can be reached from here",
	} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			command := program(t, "probe", place)
			command.Env = []string{child + "=probe", "HOME=" + t.TempDir(), "AWS_EC2_METADATA_DISABLED=true"}
			output, err := command.Output()
			_, hints, _ := strings.Cut(string(output), "\n")
			if err == nil || !strings.HasPrefix(hints, hint) {
				t.Errorf("%v: %s, want the hint %q", err, output, hint)
			}
		})
	}
}

func TestGoogle(t *testing.T) {
	endpoint := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte(`{"error":{"code":403,"message":"no"}}`))
	}))
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(endpoint, "http://"))
	b := open(t, "gs://records/p?anonymous=true")
	if _, err := b.Get(t.Context(), "v1/a.json", 10); bucket.IsNotFound(err) || !bucket.IsForbidden(err) {
		t.Errorf("a refused read passes for an absent object: %v", err)
	}
	err := b.Put(t.Context(), "v1/a.json", []byte("{}"), "application/json")
	if diff := cmp.Diff([]string{"check the credentials, and grant storage.objects.create on bucket records"}, fault.Hints(err)); diff != "" {
		t.Errorf("%v: hints (-want +got):\n%s", err, diff)
	}
}
