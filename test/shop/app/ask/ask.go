// SPDX-License-Identifier: Apache-2.0

// Package ask is a customer who orders and reads the order back, again and again,
// at a modest rate, and counts what went wrong.
package ask

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/store"
)

// A Customer says whom to ask and how often.
type Customer struct {
	URL       string
	Authority string        // file with the certificate authority of the shop
	Rate      float64       // orders per second, all workers together
	Workers   int           // every other one opens a new connection for each request
	Duration  time.Duration // 0 asks until the context ends
	Timeout   time.Duration // of one request
}

// Ask asks until the duration has passed or ctx ends; both are the good end. It
// fails only when it cannot begin.
func (c Customer) Ask(ctx context.Context) (*Summary, error) {
	if c.Rate <= 0 || c.Rate > 1000 || c.Workers < 1 {
		return nil, errors.New("a rate above 0 and up to 1000, and at least one worker, are needed")
	}
	pool, err := authority(c.Authority)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if c.Duration > 0 {
		ctx, stop = context.WithTimeout(ctx, c.Duration)
		defer stop()
	}
	tally := newTally()
	turns := make(chan struct{})
	var workers sync.WaitGroup
	for i := range c.Workers {
		w := &worker{Customer: c, tally: tally, client: client(pool, c.Timeout, i%2 == 1), name: fmt.Sprintf("asker %d", i)}
		workers.Go(func() { w.work(context.WithoutCancel(ctx), turns) })
	}
	pace(ctx, c.Rate, turns)
	close(turns)
	workers.Wait()
	return tally.summary(), nil
}

// pace gives a turn at each beat. A turn that no worker can take is left out:
// a slow shop is not flooded.
func pace(ctx context.Context, rate float64, turns chan<- struct{}) {
	beat := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
}

func authority(file string) (*x509.CertPool, error) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	defer root.Close()
	data, err := root.ReadFile(filepath.Base(file))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading the certificate authority: %s holds no certificate", file)
	}
	return pool, nil
}

func client(pool *x509.CertPool, timeout time.Duration, fresh bool) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: fresh,
		ForceAttemptHTTP2: true,
	}}
}

// A worker is one customer with one client.
type worker struct {
	Customer
	tally  *tally
	client *http.Client
	name   string
}

// work asks once per turn. A turn that was begun is finished, also at the end.
func (w *worker) work(ctx context.Context, turns <-chan struct{}) {
	for range turns {
		placed, err := w.place(ctx)
		if err != nil {
			continue // counted already; there is nothing to read back
		}
		var read store.Order
		err = w.ask(ctx, http.MethodGet, fmt.Sprintf("/orders/%d", placed.ID), "", nil, &read)
		if err == nil && read != placed {
			w.tally.failed(fmt.Errorf("order %d came back as %+v, placed as %+v", placed.ID, read, placed))
		}
	}
}

func (w *worker) place(ctx context.Context) (store.Order, error) {
	body, err := json.Marshal(map[string]any{"customer": w.name, "product": 1, "quantity": 2})
	if err != nil {
		return store.Order{}, err
	}
	var placed store.Order
	err = w.ask(ctx, http.MethodPost, "/orders", rand.Text(), body, &placed)
	return placed, err
}

// ask makes one request and counts it. The key lets the client ask again by itself
// when the shop closed an idle connection at that very moment.
func (w *worker) ask(ctx context.Context, method, path, key string, body []byte, into any) (err error) {
	began := time.Now()
	defer func() { w.tally.asked(time.Since(began), err) }()
	request, err := http.NewRequestWithContext(ctx, method, w.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	w.tally.served(response.TLS)
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
