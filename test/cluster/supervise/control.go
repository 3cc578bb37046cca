// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Serve answers on the socket until ctx ends: GET /status, GET /watch (a line of JSON at each change), POST /stop/NAME and
// POST /start/NAME.
func (s *Supervisor) Serve(ctx context.Context, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		all, _ := s.Status()
		_ = json.NewEncoder(w).Encode(all) // the reader went away
	})
	mux.HandleFunc("GET /watch", s.watch)
	mux.HandleFunc("POST /stop/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, s.Stop(r.PathValue("name")))
	})
	mux.HandleFunc("POST /start/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, s.Start(ctx, r.PathValue("name")))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // the process ends next
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func reply(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func (s *Supervisor) watch(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w)
	for encoder := json.NewEncoder(w); ; {
		all, moved := s.Status()
		if encoder.Encode(all) != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-moved:
		}
	}
}

// Client asks a supervisor on its socket.
type Client struct{ http http.Client }

// Dial makes a client; nothing is sent yet.
func Dial(socket string) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

func (c *Client) call(ctx context.Context, method, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster's supervisor: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		return nil, errors.Join(errors.New(strings.TrimSpace(string(text))), err)
	}
	return response.Body, nil
}

// Status asks once.
func (c *Client) Status(ctx context.Context) ([]Status, error) {
	body, err := c.call(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var all []Status
	return all, json.NewDecoder(body).Decode(&all)
}

// Watch calls see with the first answer and at each change, until see returns true, ctx ends, or the supervisor goes away.
func (c *Client) Watch(ctx context.Context, see func([]Status) (done bool)) error {
	body, err := c.call(ctx, http.MethodGet, "/watch")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("the cluster's supervisor went away: %w", err))
		}
		var all []Status
		if err := json.Unmarshal(line, &all); err != nil {
			return err
		}
		if see(all) {
			return nil
		}
	}
}

// Do stops or starts a component.
func (c *Client) Do(ctx context.Context, verb, name string) error {
	body, err := c.call(ctx, http.MethodPost, "/"+verb+"/"+name)
	if err != nil {
		return err
	}
	return body.Close()
}
