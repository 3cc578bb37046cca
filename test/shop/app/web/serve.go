// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// grace is how long answers that are under way may take after the drain.
const grace = 15 * time.Second

// Serve answers on the address with the certificate until ctx ends. Then it leaves
// in an order that no customer notices: for the length of drain it goes on
// answering, but asks every customer to come back on another connection, which the
// cluster leads to another replica; then it takes no more connections and finishes
// what is under way.
func (s *Shop) Serve(ctx context.Context, address string, certificate tls.Certificate, drain time.Duration) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	var leaving atomic.Bool
	server := &http.Server{
		Handler:           leave(&leaving, s.Handler()),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	s.Log.Info("serving", "address", listener.Addr().String(), "serial", serial(certificate))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	leaving.Store(true)
	s.Log.Info("leaving", "drain", drain.String())
	time.Sleep(drain)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return fmt.Errorf("waiting for the last answers: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.Log.Info("left")
	return nil
}

// leave asks customers to close their connections once the shop is leaving, which
// HTTP/1.1 reads from the header and HTTP/2 is told by a GOAWAY.
func leave(leaving *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func serial(certificate tls.Certificate) string {
	if certificate.Leaf == nil {
		return ""
	}
	return fmt.Sprintf("%x", certificate.Leaf.SerialNumber)
}
