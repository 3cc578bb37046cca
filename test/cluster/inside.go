// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/knowngood/knowngood/test/cluster/layout"
	"github.com/knowngood/knowngood/test/cluster/node"
	"github.com/knowngood/knowngood/test/cluster/space"
	"github.com/knowngood/knowngood/test/cluster/supervise"
)

// initialise is the first process of an instance's namespaces.
func initialise(ctx context.Context, c *call) (int, error) {
	return exitFailed, space.Init(context.WithoutCancel(ctx), c.name)
}

// become is the last step of exec.
func become(_ context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return 0, errMisused
	}
	return exitCannotRun, space.Become(c.args)
}

// supervisor is its child: it starts everything, and forwards the host's loopback port to the API server.
func supervisor(ctx context.Context, c *call) (int, error) {
	in, err := layout.Load(c.name)
	if err != nil {
		return 0, err
	}
	components, err := node.Components(in)
	if err != nil {
		return 0, err
	}
	s, err := supervise.New(components, in.Path("log"), in.Path("bin")+":"+space.Path)
	if err != nil {
		return 0, err
	}
	listener, err := space.HostListener()
	if err != nil {
		return 0, fmt.Errorf("the host's port: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- forward(listener, net.JoinHostPort("127.0.0.1", layout.APIPort)) }()
	go func() { ended <- s.Serve(ctx, in.Control()) }()
	go func() {
		if err := <-ended; err != nil {
			c.say("%v", err)
			cancel()
		}
	}()
	s.Run(ctx)
	return exitFailed, nil
}

// forward connects each caller of a listener with an address, until the listener is closed.
func forward(listener net.Listener, to string) error {
	for {
		caller, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on %s: %w", listener.Addr(), err)
		}
		go join(caller, to)
	}
}

func join(caller net.Conn, to string) {
	defer func() { _ = caller.Close() }()
	peer, err := net.Dial("tcp", to) // refused or connected at once: it is this machine
	if err != nil {
		return // the caller sees a connection that ends, as from an API server that is down
	}
	defer func() { _ = peer.Close() }()
	var both sync.WaitGroup
	both.Go(func() { pump(peer, caller) })
	both.Go(func() { pump(caller, peer) })
	both.Wait()
}

// pump copies one direction, and tells its end to the other side while the way back stays open.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // an error ends this direction
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
