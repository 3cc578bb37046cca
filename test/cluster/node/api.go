// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

const probeLimit = 3 * time.Second

// api asks the components' health endpoints; those with TLS trust the instance's own authority.
type api struct{ http http.Client }

func newAPI(dir string) (*api, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the cluster's certificate authority is unreadable")
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &api{http.Client{Timeout: probeLimit, Transport: &http.Transport{TLSClientConfig: config}}}, nil
}

// answers returns a probe that wants status 200 from a URL.
func (a *api) answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := a.http.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, 2048))
		return errors.Join(fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(text))), err)
	}
}

// ready is the API server's own word on itself.
func (a *api) ready() func(context.Context) error {
	return a.answers("https://127.0.0.1:" + layout.APIPort + "/readyz")
}
