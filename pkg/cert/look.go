// SPDX-License-Identifier: Apache-2.0

package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// Protocol is what is spoken on a connection before TLS begins.
type Protocol string

// Protocols.
const (
	// TLS begins at once.
	TLS Protocol = "tls"
	// PostgreSQL begins with an SSLRequest (PostgreSQL documentation, "Message Flow", "SSL
	// Session Encryption").
	PostgreSQL Protocol = "postgresql"
)

// ParseProtocol returns text as a Protocol; "" is TLS.
func ParseProtocol(text string) (Protocol, error) {
	switch Protocol(text) {
	case "", TLS:
		return TLS, nil
	case PostgreSQL:
		return PostgreSQL, nil
	default:
		return "", fmt.Errorf("protocol %q: want %s or %s", text, TLS, PostgreSQL)
	}
}

var (
	// ErrPlain means that the peer answered, and not with TLS.
	ErrPlain = errors.New("no TLS is spoken here")
	// ErrSilent means that the peer took the connection and did not answer in time.
	ErrSilent = errors.New("no answer")
)

// Served is what a peer showed of itself.
type Served struct {
	// Chain is what the peer sent, leaf first; never empty.
	Chain []*x509.Certificate
	// ClientWanted is true when the peer ended the handshake because it wants a
	// certificate of the client. Its own was proved to be its own before.
	ClientWanted bool
}

// Leaf is the peer's own certificate.
func (s Served) Leaf() *x509.Certificate { return s.Chain[0] }

// Look asks the peer at the other end of conn for its certificates, by the name (SNI; "" sends
// none). The handshake proves that the peer holds the leaf's key; nothing else is judged here,
// so that an expired or foreign certificate can be told from no certificate at all.
//
// Look uses conn up: it is closed when Look returns. ctx bounds the whole look. The error wraps
// ErrPlain or ErrSilent where these are the cause.
func Look(ctx context.Context, conn net.Conn, protocol Protocol, name string) (Served, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	served, err := look(ctx, conn, protocol, name)
	switch {
	case err == nil:
		return served, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Served{}, fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
	case ctx.Err() != nil:
		return Served{}, ctx.Err()
	default:
		return Served{}, err
	}
}

func look(ctx context.Context, conn net.Conn, protocol Protocol, name string) (Served, error) {
	if protocol == PostgreSQL {
		if err := requestTLS(conn); err != nil {
			return Served{}, err
		}
	}
	var served Served
	asked := false
	client := tls.Client(conn, &tls.Config{
		ServerName: name,
		// What is served is to be seen as it is; Wanted.Check verifies it.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { //nolint:gosec // no session is kept, so none is resumed
			chain, err := parseChain(raw)
			served.Chain = chain
			return err
		},
		// Called once the peer's signature has been checked, in TLS 1.2 and 1.3 alike.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		},
	})
	err := client.HandshakeContext(ctx)
	switch {
	case err == nil && len(served.Chain) > 0:
		return served, nil
	case err == nil:
		return Served{}, errors.New("the peer sent no certificate")
	case asked && len(served.Chain) > 0:
		served.ClientWanted = true
		return served, nil
	case notTLS(err):
		return Served{}, fmt.Errorf("%w: %w", ErrPlain, err)
	default:
		return Served{}, fmt.Errorf("handshake: %w", err)
	}
}

func parseChain(raw [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, 0, len(raw))
	for _, der := range raw {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate of the peer: %w", err)
		}
		chain = append(chain, certificate)
	}
	return chain, nil
}

// requestTLS asks a PostgreSQL server for TLS: the length 8 and the code 80877103; the answer
// is one byte, S or N. Anything more than that byte before the handshake could be injected by a
// man in the middle, and cannot be read here: the next byte read is TLS's.
func requestTLS(conn net.Conn) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return fmt.Errorf("ask PostgreSQL for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		if hungUp(err) {
			return fmt.Errorf("ask PostgreSQL for TLS: %w: it hung up", ErrPlain)
		}
		return fmt.Errorf("ask PostgreSQL for TLS: %w", err)
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return fmt.Errorf("%w: PostgreSQL has TLS off (ssl = off)", ErrPlain)
	default:
		return fmt.Errorf("ask PostgreSQL for TLS: %w: it answered %s, not S or N",
			ErrPlain, strconv.QuoteRuneToASCII(rune(answer[0])))
	}
}

// notTLS tells whether a handshake ended because the peer speaks something else: it sent what
// is no TLS record, or hung up at the first message.
func notTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) || hungUp(err)
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
