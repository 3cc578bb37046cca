// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/knowngood/knowngood/test/github"
)

// Asked is what the customer counted.
type Asked struct {
	Requests int      `json:"requests"`
	Failures int      `json:"failures"`
	Errors   []string `json:"errors"`
	// Serials of the certificates that were served, in order of appearance.
	Serials []struct {
		Serial string `json:"serial"`
	} `json:"serials"`
}

// SendCustomer starts a customer who asks the shop until StopCustomer.
func (j *Journey) SendCustomer(ctx context.Context) error {
	args := []string{"manifests", "--tag", j.Commits["first"].Short(), "--asker"}
	if j.Registry != "" {
		args = append(args, "--registry", j.Registry)
	}
	manifest, err := j.output(ctx, j.Root, j.shop, args...)
	if err != nil {
		return err
	}
	if err := j.kubectlWith(ctx, string(manifest), "apply", "-f", "-"); err != nil {
		return err
	}
	return j.kubectlWith(ctx, "", "wait", "--for=condition=Ready", "pod/asker", "--timeout=60s")
}

// StopCustomer ends the customer and returns the count.
func (j *Journey) StopCustomer(ctx context.Context) (Asked, error) {
	var asked Asked
	if err := j.kubectlWith(ctx, "", "exec", "asker", "--", "/shop", "stop"); err != nil {
		return asked, err
	}
	if err := j.kubectlWith(ctx, "", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asker", "--timeout=60s"); err != nil {
		return asked, err
	}
	log, err := j.Kubernetes(ctx, "logs", "asker")
	if err != nil {
		return asked, err
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &asked); err != nil {
		return asked, fmt.Errorf("summary of the customer: %w", err)
	}
	return asked, j.kubectlWith(ctx, "", "delete", "pod", "asker", "--wait=true")
}

// serve starts the fake GitHub on loopback.
func serve(ctx context.Context, handler *github.Server) (address string, stop func() error, err error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() error {
		err := server.Close()
		if serving := <-ended; !errors.Is(serving, http.ErrServerClosed) {
			err = errors.Join(err, serving)
		}
		return err
	}, nil
}
