// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/pkitest"
)

// drain is long enough for a request on a busy machine.
const drain = time.Second

// client believes the authority, and expects that name.
func client(a *pkitest.Authority, name string) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12},
	}}
}

// logLines is a logger whose lines a test can wait for.
func logLines() (*slog.Logger, <-chan map[string]any) {
	lines := make(chan map[string]any, 100)
	return slog.New(slog.NewJSONHandler(lineWriter(lines), nil)), lines
}

type lineWriter chan<- map[string]any

func (w lineWriter) Write(data []byte) (int, error) {
	var line map[string]any
	err := json.Unmarshal(data, &line)
	w <- line
	return len(data), err
}

// wait is the next log line with that message.
func wait(t *testing.T, lines <-chan map[string]any, message string) map[string]any {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case line := <-lines:
			if line["msg"] == message {
				return line
			}
		case <-late:
			t.Fatalf("no %q in the log after 10 s", message)
		}
	}
}
