// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"serve"}, write, io.Discard) }()
	address, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + strings.TrimSpace(address) + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Errorf("GET /v2/: %s", response.Status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

func TestServeInANetworkThatIsNone(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"serve", "--network", "/absent"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "listen in network namespace /absent") {
		t.Errorf("serve = %v", err)
	}
}
