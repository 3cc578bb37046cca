// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/knowngood/knowngood/pkg/kube"
)

// streams are the connections and commands of the double's pods.
type streams struct{ d *Double }

// Dial implements kube.Streams.
func (s *streams) Dial(_ context.Context, namespace, name string, port int) (kube.Conn, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	p := s.d.pods[name]
	if p == nil {
		return nil, fmt.Errorf("forward to %s/%s: pod not found", namespace, name)
	}
	near, far, err := pair()
	if err != nil {
		return nil, err
	}
	answer := p.app.Ports[port]
	if answer == nil {
		return refusing{near}, far.Close()
	}
	config := &tls.Config{Certificates: []tls.Certificate{p.loaded}, MinVersion: tls.VersionTLS12}
	go func() {
		defer far.Close()
		answer(config)(far)
	}()
	return near, nil
}

// pair returns the two ends of a connection on loopback. (net.Pipe has no buffer: a server that
// speaks first and a client that does so too would wait for each other.)
func pair() (near, far net.Conn, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		return nil, nil, err
	}
	if far, err = listener.Accept(); err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}

// refusing is a connection to a port where nobody listens.
type refusing struct{ net.Conn }

func (refusing) Read([]byte) (int, error) { return 0, kube.ErrRefused }

// Exec implements kube.Streams: "reload" makes the server read its file, "broken" fails and
// "missing" is not there.
func (s *streams) Exec(_ context.Context, command kube.Command) (kube.Output, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	p := s.d.pods[command.Pod]
	switch {
	case p == nil:
		return kube.Output{}, fmt.Errorf("%s: pod not found", command)
	case command.Args[0] == "broken":
		return kube.Output{Stderr: "cannot read"}, fmt.Errorf("%s: %w", command, &kube.ExitError{Status: 1, Stderr: "cannot read"})
	case command.Args[0] == "missing":
		return kube.Output{}, fmt.Errorf("%s: %w", command, &kube.ExitError{Status: 127, Stderr: "not found"})
	}
	s.d.reloads[command.Pod]++
	if !p.app.Deaf {
		p.loaded = p.file
	}
	return kube.Output{}, nil
}

// Hold implements kube.Streams; nothing here holds.
func (s *streams) Hold(context.Context, kube.Command) (*kube.Held, error) {
	return nil, errors.New("this double holds no commands")
}
