// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Nothing is sent without TLS that nobody allowed, and what is allowed is told.
func TestNothingIsSaidInTheClearUnlessAllowed(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	var said bytes.Buffer
	o := Options{
		Place:    "s3://backups?endpoint=" + url.QueryEscape("http://192.0.2.1:9000") + "&use_path_style=true",
		Password: "a key that only the tests know", App: "shop", Environment: "none",
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&said, nil)), Setup: true,
	}
	_, err := Open(t.Context(), o)
	if fault.StatusOf(err) != fault.Usage || !strings.Contains(err.Error(), "http://192.0.2.1:9000 would be spoken to without TLS") ||
		!strings.Contains(strings.Join(fault.Hints(err), "\n"), "--allow-http") {
		t.Errorf("refused as %v, hints %q", err, fault.Hints(err))
	}
	o.AllowHTTP = true
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, o); err == nil || strings.Contains(err.Error(), "without TLS") {
		t.Errorf("allowed, and the error is %v", err)
	}
	if !strings.Contains(said.String(), "without TLS") || !strings.Contains(said.String(), "192.0.2.1") {
		t.Errorf("said: %s", said.String())
	}
}
