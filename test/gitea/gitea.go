// SPDX-License-Identifier: Apache-2.0

// Package gitea runs a real Gitea on loopback for tests: a server that is not ours and speaks
// GitHub's language as far as comments, statuses, pull requests and contents go.
//
// It is built once by make soak, which names the folder in KNOWNGOOD_TEST_GITEA: the program
// "gitea" and, under "static", the files that it needs. Without it the tests are skipped.
package gitea

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Folder names the variable that says where the built Gitea lies.
const Folder = "KNOWNGOOD_TEST_GITEA"

// startLimit is how long Gitea may take to make its database, and to answer, on a busy machine.
const startLimit = 3 * time.Minute

// A Server is a running Gitea with one person.
type Server struct {
	// Web is where people look, API where programs ask.
	Web, API string
	// Login is the person's name, Token one of all scopes.
	Login, Token string

	program, home string
}

// Start runs a Gitea until the test ends, or skips the test where none is built.
func Start(t testing.TB) *Server {
	t.Helper()
	folder := os.Getenv(Folder)
	if folder == "" {
		t.Skip("no Gitea: " + Folder + " names the folder of one; make soak builds it")
	}
	home := t.TempDir()
	port := freePort(t)
	s := &Server{
		Web: "http://127.0.0.1:" + port, Login: "ada", program: filepath.Join(folder, "gitea"), home: home,
	}
	s.API = s.Web + "/api/v1"
	if err := os.WriteFile(filepath.Join(home, "app.ini"), []byte(settings(home, folder, port)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	s.do(ctx, t, "migrate")
	s.do(ctx, t, "admin", "user", "create", "--username", s.Login, "--password", "not-a-secret-1", "--email", "ada@acme.example",
		"--admin", "--must-change-password=false")
	s.Token = s.NewToken(t, "all")
	s.serve(ctx, t)
	return s
}

// NewToken returns a token of the person with scopes such as "read:repository".
func (s *Server) NewToken(t testing.TB, scopes string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	said := s.do(ctx, t, "admin", "user", "generate-access-token", "--username", s.Login, "--token-name", name, "--scopes", scopes, "--raw")
	token := tokenForm.FindString(said) // it may log before it says it
	if token == "" {
		t.Fatalf("Gitea gives no token: %s", said)
	}
	return strings.TrimSpace(token)
}

var tokenForm = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`)

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func settings(home, folder, port string) string {
	return strings.Join([]string{
		"APP_NAME = Gitea", "RUN_MODE = prod", "WORK_PATH = " + home,
		"I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true",
		"[server]", "PROTOCOL = http", "HTTP_ADDR = 127.0.0.1", "HTTP_PORT = " + port, "ROOT_URL = http://127.0.0.1:" + port + "/",
		"DISABLE_SSH = true", "OFFLINE_MODE = true", "STATIC_ROOT_PATH = " + filepath.Join(folder, "static"),
		"APP_DATA_PATH = " + filepath.Join(home, "data"),
		"[database]", "DB_TYPE = sqlite3", "PATH = " + filepath.Join(home, "gitea.db"),
		"[repository]", "ROOT = " + filepath.Join(home, "repositories"),
		"[indexer]", "ISSUE_INDEXER_TYPE = db",
		"[security]", "INSTALL_LOCK = true", "SECRET_KEY = of-a-test",
		"[session]", "PROVIDER = memory",
		"[log]", "MODE = console", "LEVEL = Info",
		"[actions]", "ENABLED = false", "[cron]", "ENABLED = false", "[mailer]", "ENABLED = false", "",
	}, "\n")
}

func (s *Server) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, s.program, append([]string{"--config", filepath.Join(s.home, "app.ini")}, args...)...)
	command.Dir = s.home
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "GITEA_WORK_DIR=" + s.home}
	return command
}

// do runs one of Gitea's commands and returns its output.
func (s *Server) do(ctx context.Context, t testing.TB, args ...string) string {
	t.Helper()
	var complaint strings.Builder
	command := s.command(ctx, args...)
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		t.Fatalf("gitea %s: %v\n%s%s", strings.Join(args[:2], " "), err, output, &complaint)
	}
	return string(output)
}

// serve starts the server, which the test's end stops, and waits until it listens.
func (s *Server) serve(ctx context.Context, t testing.TB) {
	t.Helper()
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := s.command(running, "web")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	out, in := io.Pipe()
	command.Stdout, command.Stderr = in, in
	if err := command.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	listening, lines := make(chan struct{}), make(chan string, 200)
	go func() {
		defer close(lines)
		scanner, once := bufio.NewScanner(out), false
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if !once && strings.Contains(scanner.Text(), "Listen: http://") {
				once = true
				close(listening)
			}
			select {
			case lines <- scanner.Text():
			default: // what nobody reads need not be kept
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // its end was asked for
		_ = in.Close()
	})
	select {
	case <-listening:
	case <-ctx.Done():
		var last []string
		for len(lines) > 0 {
			last = append(last, <-lines)
		}
		t.Fatalf("Gitea does not listen: %v\n%s", ctx.Err(), strings.Join(last, "\n"))
	}
	s.await(ctx, t)
}

// await asks until the server answers: it says that it listens a moment before it does.
func (s *Server) await(ctx context.Context, t testing.TB) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(s.Web, "http://"))
		if err == nil {
			_ = conn.Close() // it was asked for no more than its being there
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Gitea does not answer: %v", err)
		case <-tick.C:
		}
	}
}
