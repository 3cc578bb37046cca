// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// Conn is a connection to a port of a pod.
type Conn = net.Conn

// tunnel is the websocket protocol that carries SPDY (Kubernetes 1.31 and later).
const tunnel = "SPDY/3.1+" + portforward.PortForwardProtocolV1Name

// Dial implements Streams. The context bounds the dialling alone.
func (s *streams) Dial(ctx context.Context, namespace, pod string, port int) (Conn, error) {
	call := Call{"create", "pods/portforward", namespace, pod}
	session, err := s.session(ctx, namespace, pod)
	if err != nil {
		return nil, s.cluster.Explain(ctx, call, err)
	}
	conn, err := forward(session, fmt.Sprintf("%s/%s port %d", namespace, pod, port), port)
	if err != nil {
		_ = session.Close()
		return nil, s.cluster.Explain(ctx, call, err)
	}
	return conn, nil
}

// session opens the multiplexed connection: SPDY within a websocket, or bare SPDY.
func (s *streams) session(ctx context.Context, namespace, pod string) (httpstream.Connection, error) {
	target, err := s.target(namespace, pod, "portforward", nil)
	if err != nil {
		return nil, err
	}
	transport, holder, err := websocket.RoundTripperFor(s.config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	socket, err := websocket.Negotiate(transport, holder, request, tunnel)
	if err == nil {
		return streamspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnectionWithLogger(klog.Logger{}, socket), portforward.PingPeriod)
	}
	refusal, again := refused(err)
	if !again {
		return nil, refusal
	}
	session, err := s.spdySession(ctx, target)
	if err != nil && apierrors.ReasonForError(refusal) != metav1.StatusReasonUnknown {
		return nil, refusal // it came with a status; SPDY's answer is bare text
	}
	return session, err
}

func (s *streams) spdySession(ctx context.Context, target *url.URL) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(s.config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	session, _, err := spdy.NegotiateStreaming(upgrader, &http.Client{Transport: transport}, request, portforward.PortForwardProtocolV1Name)
	return session, err
}

// forward opens the pair of streams that is one connection and joins it with a pipe, which
// gives it the deadlines that streams lack.
func forward(session httpstream.Connection, remote string, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	trouble, err := session.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = trouble.Close() // only read from
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := session.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	conn := &forwarded{Conn: near, session: session, remote: remote, told: make(chan struct{})}
	go conn.listen(trouble)
	go func() {
		_, _ = io.Copy(far, data)
		_ = far.Close()
	}()
	go func() {
		_, _ = io.Copy(data, far)
		_ = data.Close()
	}()
	return conn, nil
}

// forwarded is the near end of a forwarded connection.
type forwarded struct {
	net.Conn
	session httpstream.Connection
	remote  string

	closing sync.Once
	told    chan struct{} // closed once trouble is final
	trouble error
}

// listen keeps what the kubelet says of the connection, e.g. that the port refuses.
func (f *forwarded) listen(stream io.Reader) {
	defer close(f.told)
	message, _ := io.ReadAll(io.LimitReader(stream, outputLimit))
	if len(message) > 0 {
		f.trouble = fmt.Errorf("forward to %s: %w", f.remote, refusal(string(message)))
	}
}

// refusal keeps the end of the kubelet's sentence, which is what the port itself did.
func refusal(message string) error {
	if strings.Contains(message, "connection refused") {
		return ErrRefused
	}
	return errors.New(OneLine(message))
}

// troublePause is how long the end of the data waits for the reason that may follow it.
const troublePause = 2 * time.Second

// Read returns the kubelet's reason in the place of a bare end.
func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if !errors.Is(err, io.EOF) || n > 0 {
		return n, err
	}
	return n, f.reason(err)
}

// Write does so in the place of a closed pipe.
func (f *forwarded) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	if !errors.Is(err, io.ErrClosedPipe) {
		return n, err
	}
	return n, f.reason(err)
}

func (f *forwarded) reason(err error) error {
	timer := time.NewTimer(troublePause)
	defer timer.Stop()
	select {
	case <-f.told:
		if f.trouble != nil {
			return f.trouble
		}
	case <-timer.C:
	}
	return err
}

// Close ends the connection and the session that carries it.
func (f *forwarded) Close() error {
	var err error
	f.closing.Do(func() {
		err = f.Conn.Close()
		_ = f.session.Close()
	})
	return err
}

// RemoteAddr names the pod's port.
func (f *forwarded) RemoteAddr() net.Addr { return podAddress(f.remote) }

type podAddress string

// Network implements net.Addr.
func (podAddress) Network() string { return "pod" }

// String implements net.Addr.
func (a podAddress) String() string { return string(a) }
