// SPDX-License-Identifier: Apache-2.0

// Command server runs the fake GitHub of package test/github on this machine:
//
//	go run ./test/github/server -listen 127.0.0.1:0 -token SECRET -repository acme/shop -pull 7=COMMIT
//
// It prints its address as the first line of standard output, keeps its state in memory, shows
// it at /_fake/state, and ends when its standard input closes (with -wait), or at SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/test/github"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "github:", err)
		os.Exit(1)
	}
}

type settings struct {
	listen, token, login, repository string
	certificate, key                 string
	app, wait                        bool
	scopes                           string
	pulls                            []github.Pull
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("github", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:0", "address to listen on: loopback, unless it serves TLS")
	flags.StringVar(&s.certificate, "certificate", "", "PEM file of the certificate to serve, for clients in a network of their own")
	flags.StringVar(&s.key, "key", "", "PEM file of its key")
	flags.StringVar(&s.token, "token", "", "the token that it knows")
	flags.StringVar(&s.login, "login", "github-actions[bot]", "who the token is")
	flags.BoolVar(&s.app, "app", true, "the token is an installed app's, as a workflow's own is")
	flags.StringVar(&s.scopes, "scopes", "pull-requests=write,statuses=write,checks=write,deployments=write,contents=read", "what the token may do")
	flags.StringVar(&s.repository, "repository", "acme/shop", "owner and name of the repository")
	flags.BoolVar(&s.wait, "wait", false, "end when standard input closes")
	flags.Func("pull", "a pull request as NUMBER=COMMIT (repeatable)", func(text string) error {
		number, commit, _ := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if err != nil || commit == "" {
			return fmt.Errorf("pull %q: want NUMBER=COMMIT", text)
		}
		s.pulls = append(s.pulls, github.Pull{Number: n, Title: "Change " + number, Head: commit})
		return nil
	})
	err := flags.Parse(args)
	return s, err
}

func (s settings) server() *github.Server {
	server := &github.Server{}
	token := github.Token{Login: s.login, App: s.app, Scopes: map[string]github.Access{}}
	for scope := range strings.SplitSeq(s.scopes, ",") {
		if name, access, ok := strings.Cut(scope, "="); ok {
			token.Scopes[name] = github.Access(access)
		}
	}
	if s.token != "" {
		server.AddToken(s.token, token)
	}
	server.Apply(github.Setup{Repository: s.repository, Pulls: s.pulls})
	return server
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(s.listen)
	if address := net.ParseIP(host); err != nil || address == nil || s.certificate == "" && !address.IsLoopback() {
		return fmt.Errorf("listen on %q: want a loopback address, e.g. 127.0.0.1:0, or a certificate to serve", s.listen)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.server(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	if s.certificate == "" {
		fmt.Fprintf(stdout, "http://%s\n", listener.Addr())
		go func() { served <- server.Serve(listener) }()
	} else {
		fmt.Fprintf(stdout, "https://%s\n", listener.Addr())
		go func() { served <- server.ServeTLS(listener, s.certificate, s.key) }()
	}
	closed := make(chan struct{})
	if s.wait {
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // its end is all that counts
			close(closed)
		}()
	}
	select {
	case err = <-served:
	case <-closed:
		err = server.Close()
	case <-ctx.Done():
		err = server.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
