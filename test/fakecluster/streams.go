// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/knowngood/knowngood/pkg/kube"
)

// Streams play containers. A test gives the programs; what is nil fails.
type Streams struct {
	// Run is a command that runs to its end.
	Run func(ctx context.Context, command kube.Command) (kube.Output, error)
	// Program is a held command: it reads its input until it is closed, and what it returns
	// is its end.
	Program func(command kube.Command, stdin io.Reader, stdout io.Writer) error
	// Port is what listens on a port of a pod.
	Port func(ctx context.Context, namespace, pod string, port int) (net.Conn, error)

	mu  sync.Mutex
	ran []kube.Command
}

// Ran returns the commands that were begun, in their order.
func (s *Streams) Ran() []kube.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]kube.Command(nil), s.ran...)
}

func (s *Streams) note(command kube.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, command)
}

var errNothing = errors.New("the fake cluster has no such program")

// Exec implements kube.Streams.
func (s *Streams) Exec(ctx context.Context, command kube.Command) (kube.Output, error) {
	s.note(command)
	if s.Run == nil {
		return kube.Output{}, fmt.Errorf("%s: %w", command, errNothing)
	}
	if command.Timeout == 0 {
		command.Timeout = kube.DefaultExecTimeout
	}
	running, cancel := context.WithTimeout(ctx, command.Timeout)
	defer cancel()
	output, err := s.Run(running, command)
	if err != nil && ctx.Err() == nil && running.Err() != nil {
		err = fmt.Errorf("%s: %w of %s met", command, kube.ErrTimeout, command.Timeout)
	}
	return output, err
}

// Hold implements kube.Streams. As on a real cluster the context bounds the start alone, and
// the end of the input is the program's sign to end.
func (s *Streams) Hold(ctx context.Context, command kube.Command) (*kube.Held, error) {
	s.note(command)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if s.Program == nil {
		return nil, fmt.Errorf("%s: %w", command, errNothing)
	}
	running, stop := context.WithTimeout(context.WithoutCancel(ctx), command.Timeout)
	input, stdin := io.Pipe()
	output, stdout := io.Pipe()
	lines, end := make(chan string), make(chan error, 1)
	cut := context.AfterFunc(running, func() { input.CloseWithError(io.EOF) })
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-running.Done():
			}
		}
	}()
	go func() {
		defer cut()
		defer stop()
		err := s.Program(command, input, stdout)
		stdout.Close()
		input.CloseWithError(io.ErrClosedPipe)
		end <- err
	}()
	return kube.NewHeld(command, stdin, lines, stop, end), nil
}

// Dial implements kube.Streams.
func (s *Streams) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	if s.Port == nil {
		return nil, fmt.Errorf("dial %s/%s port %d: %w", namespace, pod, port, errNothing)
	}
	return s.Port(ctx, namespace, pod, port)
}
