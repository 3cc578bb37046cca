// SPDX-License-Identifier: Apache-2.0

// Command driver is a CSI driver for one node: controller, group controller and node service in one process. A volume is an
// image file with a filesystem of its own (or a raw device) on a pool that can share blocks, so that snapshots are atomic,
// instant and as consistent as after a power cut, sizes are real, and freezing a filesystem works.
//
// It is a test driver: parameters of classes make it fail or dawdle on purpose, see fault.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

type options struct {
	name     string
	node     string
	socket   string
	folder   string
	registry string
	loops    int
	poolSize int64
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "loop.csi.knowngood.test", "`name` of the driver")
	flag.StringVar(&o.node, "node", "", "`name` of the node")
	flag.StringVar(&o.socket, "socket", "", "CSI socket `path`")
	flag.StringVar(&o.folder, "folder", "", "`folder` for the pool, the volumes and the memory of the driver")
	flag.StringVar(&o.registry, "registry", "", "the kubelet's plugins_registry `folder`; empty: no registration")
	flag.IntVar(&o.loops, "loops", 1000, "`number` of the first of 1000 loop devices that are the driver's")
	flag.Int64Var(&o.poolSize, "pool-size", 64<<30, "`bytes` of the pool; the file is sparse")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, log *slog.Logger) error {
	d, err := newDriver(ctx, o)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logged(log)))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterGroupControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	listener, err := listen(ctx, o.socket)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(listener) }()
	if o.registry != "" {
		// The kubelet calls the driver as soon as it sees this socket, so the other one comes first.
		path := filepath.Join(o.registry, o.name+"-reg.sock")
		registry := grpc.NewServer()
		registration.RegisterRegistrationServer(registry, &registrar{name: o.name, endpoint: o.socket, log: log})
		listener, err := listen(ctx, path)
		if err != nil {
			return err
		}
		go func() { ended <- registry.Serve(listener) }()
		defer registry.Stop() // removes the socket, which tells the kubelet that the driver went
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		server.GracefulStop()
		return nil
	}
}

// listen opens a socket in place of one that a killed predecessor left behind.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var config net.ListenConfig
	return config.Listen(ctx, "unix", path)
}

func logged(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		began := time.Now()
		answer, err := next(ctx, request)
		log.InfoContext(ctx, filepath.Base(info.FullMethod), "took", time.Since(began).Round(time.Microsecond), "request", request, "error", err)
		return answer, err
	}
}

// registrar tells the kubelet where the driver is, as the node-driver-registrar does for drivers in pods.
type registrar struct {
	registration.UnimplementedRegistrationServer
	name, endpoint string
	log            *slog.Logger
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: r.name, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(ctx context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	r.log.InfoContext(ctx, "registration", "registered", s.GetPluginRegistered(), "error", s.GetError())
	return &registration.RegistrationStatusResponse{}, nil
}
