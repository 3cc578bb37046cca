// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sys/unix"
)

// serve runs a registry in memory until the context ends, and prints its address. A network
// namespace is one more place where it listens at the same address, so that an image has the same
// name for who pushes it outside and for who pulls it inside.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("image serve", flag.ContinueOnError)
	address := set.String("listen", "127.0.0.1:0", "address to serve on, plain HTTP")
	network := set.String("network", "", "file of a network namespace in which to serve as well, as /proc/PID/ns/net")
	if err := parse(set, args, stderr, 0); err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}
	listeners := []net.Listener{listener}
	if *network != "" {
		inside, err := listenIn(*network, listener.Addr().String())
		if err != nil {
			return errors.Join(fmt.Errorf("listen in network namespace %s: %w", *network, err), listener.Close())
		}
		listeners = append(listeners, inside)
	}
	server := &http.Server{
		Handler:           registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err = <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
		return server.Close()
	}
}

// listenIn listens in a network namespace. The thread that enters it is never given back: it ends
// with its goroutine.
func listenIn(network, address string) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		listener, err := func() (net.Listener, error) {
			namespace, err := os.Open(network)
			if err != nil {
				return nil, err
			}
			defer namespace.Close()
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("enter it: %w", err)
			}
			return net.Listen("tcp", address)
		}()
		done <- result{listener, err}
	}()
	got := <-done
	return got.listener, got.err
}
