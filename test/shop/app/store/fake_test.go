// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/knowngood/knowngood/test/shop/app/pkitest"
)

// fakePostgres answers the request for TLS as PostgreSQL does, shows that
// certificate, or refuses TLS when there is none. It returns its port.
func fakePostgres(t *testing.T, shown *pkitest.Identity) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			greet(connection, shown)
		}
	}()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

func greet(connection net.Conn, shown *pkitest.Identity) {
	defer connection.Close() // the client has gone
	if _, err := io.ReadFull(connection, make([]byte, 8)); err != nil {
		return
	}
	if shown == nil {
		_, _ = connection.Write([]byte("N"))
		return
	}
	pair, err := tls.X509KeyPair(shown.Certificate, shown.Key)
	if err != nil {
		return
	}
	if _, err := connection.Write([]byte("S")); err == nil {
		_ = tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).Handshake()
	}
}
