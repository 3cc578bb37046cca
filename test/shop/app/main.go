// SPDX-License-Identifier: Apache-2.0

// Command shop is a small shop: it sells coffee over HTTPS and keeps the orders in
// PostgreSQL, over TLS with a client certificate on both ways.
//
//	shop serve  answers customers until SIGTERM
//	shop ask    is a customer who never rests, and counts what went wrong
//	shop stop   ends the process 1 of its container, in an image without a shell
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/ask"
	"github.com/knowngood/knowngood/test/shop/app/store"
	"github.com/knowngood/knowngood/test/shop/app/web"
)

// commit is the commit that the program was built from; the linker sets it.
var commit = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("commit", commit)
	if err := run(ctx, log, os.Args[1:]); err != nil {
		log.Error("stopped", "error", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: shop serve|ask|stop")
	}
	switch args[0] {
	case "serve":
		return serve(ctx, log, args[1:])
	case "ask":
		return customer(ctx, args[1:])
	case "stop":
		return syscall.Kill(1, syscall.SIGTERM)
	}
	return fmt.Errorf("unknown command %q: want serve, ask or stop", args[0])
}

func serve(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("shop serve", flag.ContinueOnError)
	listen := flags.String("listen", ":8443", "address to serve on")
	certificates := flags.String("tls", "/tls", "folder with tls.crt, tls.key and ca.crt, read once, at the start")
	database := flags.String("database", "host=db user=shop dbname=shop", "how to reach PostgreSQL")
	drain := flags.Duration("drain", 3*time.Second, "how long to go on answering after SIGTERM, asking customers to leave")
	if err := flags.Parse(args); err != nil {
		return err
	}
	identity, err := web.LoadIdentity(*certificates)
	if err != nil {
		return err
	}
	orders, err := store.Open(*database, identity.CertPEM, identity.KeyPEM, identity.AuthorityPEM)
	if err != nil {
		return err
	}
	shop := &web.Shop{Store: orders, Log: log, Commit: commit}
	err = shop.Serve(ctx, *listen, identity.Certificate, *drain)
	return errors.Join(err, orders.Close())
}

func customer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("shop ask", flag.ContinueOnError)
	c := ask.Customer{}
	flags.StringVar(&c.URL, "url", "https://shop", "the shop")
	flags.StringVar(&c.Authority, "ca", "/tls/ca.crt", "certificate authority of the shop")
	flags.Float64Var(&c.Rate, "rate", 20, "orders per second, each placed and read back")
	flags.IntVar(&c.Workers, "workers", 4, "customers at once; every other one opens a new connection each time")
	flags.DurationVar(&c.Duration, "duration", 0, "how long to ask; 0 asks until SIGTERM")
	flags.DurationVar(&c.Timeout, "timeout", 5*time.Second, "how long one answer may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	summary, err := c.Ask(ctx)
	if err != nil {
		return err
	}
	return summary.Write(os.Stdout)
}
