// SPDX-License-Identifier: Apache-2.0

// Command probe is what the tests' pods run: a few verbs, one static program, no shell.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	verb, rest := args[0], args[1:]
	switch {
	case verb == "hold":
		fmt.Println("holding")
		ending := make(chan os.Signal, 1)
		signal.Notify(ending, syscall.SIGTERM)
		<-ending
		return nil
	case verb == "write" && len(rest) == 2:
		return write(rest[0], rest[1])
	case verb == "read" && len(rest) == 1:
		data, err := os.ReadFile(rest[0])
		fmt.Print(string(data))
		return err
	case verb == "get" && len(rest) == 1:
		return get(rest[0])
	case verb == "serve" && len(rest) == 1:
		server := &http.Server{Addr: rest[0], ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(hello)}
		return server.ListenAndServe()
	}
	return errors.New("hold | write FILE TEXT | read FILE | get URL | serve ADDRESS")
}

// write returns when the text is on the disk; on a device, it writes its first bytes.
func write(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

func hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "hello from "+os.Getenv("HOSTNAME"))
}

func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url) // has a time limit
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
