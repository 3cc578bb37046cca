// SPDX-License-Identifier: Apache-2.0

// Command webhook is cert-manager's admission webhook, started the way upstream's own main starts it. Its module path lies
// under cert-manager's, as upstream's (unpublished) webhook-binary does, because the server's constructor is internal there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cert-manager/cert-manager/internal/webhook"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager webhook:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ctrl.SetLogger(logf.Log)
	ctx = logf.NewContext(ctx, logf.Log, "webhook")
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		return fmt.Errorf("default configuration: %w", err)
	}
	flags := pflag.NewFlagSet(args[0], pflag.ContinueOnError)
	options.AddConfigFlags(flags, config)
	if err := flags.Parse(args[1:]); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	server, err := webhook.NewCertManagerWebhookServer(logf.FromContext(ctx), *config)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return server.Run(ctx)
}
