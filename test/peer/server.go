// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// Serve answers each connection of a listener on loopback with handle until the test ends,
// and returns the listener's address.
func Serve(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { listener.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			open.Go(func() {
				defer stop()
				defer conn.Close()
				handle(conn)
			})
		}
	})
	return listener.Addr().String()
}

// Web answers with TLS as config says.
func Web(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, config)
		if server.Handshake() == nil {
			_, _ = io.Copy(io.Discard, server)
		}
	}
}

// PostgreSQL answers an SSLRequest as PostgreSQL does: with N when config is nil, else with S
// and TLS. Anything else makes it hang up.
func PostgreSQL(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		request := make([]byte, 8)
		if _, err := io.ReadFull(conn, request); err != nil || !bytes.Equal(request, []byte{0, 0, 0, 8, 4, 210, 22, 47}) {
			return
		}
		if config == nil {
			_, _ = conn.Write([]byte("N"))
			return
		}
		if _, err := conn.Write([]byte("S")); err == nil {
			Web(config)(conn)
		}
	}
}

// Says writes text at once, and reads until the other side hangs up.
func Says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, text); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// Silent takes a connection and never answers.
func Silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
