// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"k8s.io/client-go/tools/remotecommand"
)

// A Held command runs in a container and reads its standard input, which this process keeps
// open. When it is closed (by Release, or because this process or its network died) the
// command sees the end of its input and undoes what it holds.
type Held struct {
	command Command
	stdin   io.WriteCloser
	lines   chan string
	stop    context.CancelFunc

	ended chan struct{}
	err   error // read after ended is closed
}

// NewHeld joins the ends of a held command: what is written to it, the lines that it prints
// (closed at the end of its output), how to cut the connection, and a channel that gives its
// end, once. Streams make it; nobody else needs it.
func NewHeld(command Command, stdin io.WriteCloser, lines chan string, stop context.CancelFunc, end <-chan error) *Held {
	h := &Held{command: command, stdin: stdin, lines: lines, stop: stop, ended: make(chan struct{})}
	go func() {
		h.err = <-end
		close(h.ended)
	}()
	return h
}

// Hold implements Streams. The context bounds the start alone: cancelled later, it must not
// cut the connection before the command was asked to thaw. The command's Timeout bounds it all.
func (s *streams) Hold(ctx context.Context, command Command) (*Held, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if command.Timeout == 0 {
		command.Timeout = DefaultExecTimeout
	}
	running, stop := context.WithTimeout(context.WithoutCancel(ctx), command.Timeout)
	input, stdin := io.Pipe()
	output, stdout := io.Pipe()
	var stderr capped
	lines, end := make(chan string), make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { readLines(running, output, lines) })
	go func() {
		defer stop()
		err := s.stream(running, command, remotecommand.StreamOptions{Stdin: input, Stdout: stdout, Stderr: &stderr})
		_ = stdout.Close()
		_ = input.CloseWithError(io.ErrClosedPipe)
		reading.Wait()
		end <- s.ended(context.WithoutCancel(ctx), running, command, Output{Stderr: stderr.String()}, err)
	}()
	return NewHeld(command, stdin, lines, stop, end), nil
}

// readLines hands lines on until the output ends; after the deadline it only swallows.
func readLines(ctx context.Context, output io.Reader, lines chan<- string) {
	defer close(lines)
	reader := bufio.NewReaderSize(output, outputLimit)
	for {
		line, _, err := reader.ReadLine()
		if err != nil {
			return
		}
		select {
		case lines <- string(line):
		case <-ctx.Done():
			_, _ = io.Copy(io.Discard, output)
			return
		}
	}
}

// errEnded is a held command that ended before it was released.
var errEnded = errors.New("ended by itself")

// Say writes a line to the command's standard input.
func (h *Held) Say(ctx context.Context, line string) error {
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(h.stdin, line+"\n")
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			return h.early()
		}
		return nil
	case <-h.ended:
		return h.early()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", h.command, ctx.Err())
	}
}

// Line returns the next line of the command's standard output. When the command has ended
// it is an error that tells why.
func (h *Held) Line(ctx context.Context) (string, error) {
	select {
	case line, open := <-h.lines:
		if !open {
			return "", h.early()
		}
		return line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s: %w", h.command, ctx.Err())
	}
}

// early waits for the reason: input and output close a moment before it is known.
func (h *Held) early() error {
	<-h.ended
	if h.err != nil {
		return h.err
	}
	return fmt.Errorf("%s: %w", h.command, errEnded)
}

// Ended is closed when the command has ended, released or not.
func (h *Held) Ended() <-chan struct{} { return h.ended }

// Release closes the command's standard input and waits for its end. When ctx ends first,
// the connection is cut, which closes the input at the other end too, and the error tells.
// It may be called again.
func (h *Held) Release(ctx context.Context) error {
	defer h.stop()
	_ = h.stdin.Close()
	for lines := h.lines; ; {
		select {
		case <-h.ended:
			return h.err
		case _, open := <-lines:
			if !open {
				lines = nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%s: release: %w", h.command, ctx.Err())
		}
	}
}
