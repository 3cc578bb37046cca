// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is a real one: what the program writes to it, and a keyboard.
type terminal struct {
	t       *testing.T
	master  *os.File
	mu      sync.Mutex
	grown   chan struct{}
	screen  strings.Builder
	command *exec.Cmd
}

// onTerminal starts the program in a folder, with a terminal for its standard streams.
func onTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, "knowngood", args...)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = dir, slave, slave, slave
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "KUBECONFIG=" + filepath.Join(dir, "none")}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, grown: make(chan struct{}, 1), command: command}
	go term.watch()
	return term
}

func (term *terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := term.master.Read(buffer)
		term.mu.Lock()
		term.screen.Write(buffer[:n])
		term.mu.Unlock()
		select {
		case term.grown <- struct{}{}:
		default:
		}
		if err != nil { // the program has ended
			close(term.grown)
			return
		}
	}
}

func (term *terminal) seen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// answer waits for a question and types an answer.
func (term *terminal) answer(question, keys string) {
	term.t.Helper()
	for !strings.Contains(term.seen(), question) {
		if _, alive := <-term.grown; !alive {
			term.t.Fatalf("it never asks %q:\n%s", question, term.seen())
		}
	}
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// end waits for the end and returns the exit status.
func (term *terminal) end() int {
	term.t.Helper()
	err := term.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		term.t.Fatal(err)
	}
	for range term.grown { // what was written last is still to be read
	}
	return term.command.ProcessState.ExitCode()
}

// aRepository is a folder with a Go module and manifests.
func aRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for _, name := range []string{"go.mod", "deploy/shop.yaml"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func holds(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), text) {
		t.Errorf("%s lacks %q: %v\n%s", path, text, err, data)
	}
}

// A person is asked with answers proposed; a file of theirs is shown as a difference, and stays
// unless they say yes.
func TestInitAsksOnATerminal(t *testing.T) {
	t.Parallel()
	dir := aRepository(t)
	if err := os.WriteFile(filepath.Join(dir, ".knowngood.yaml"), []byte("inputs:\n  app: mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := onTerminal(t, dir, "init", "--branch", "trunk")
	term.answer("name of the application [mine]", "shop\n")
	term.answer("its namespace in the cluster [shop]", "prod\n")
	term.answer("for whom: github, gitea, forgejo or tekton [github]", "\n")
	term.answer("command that deploys [kubectl apply -f deploy/]", "make deploy\n")
	term.answer("overwrite .knowngood.yaml? [no]", "perhaps\n")
	term.answer("answer yes or no", "\n")
	term.answer("write them? [yes]", "y\n")
	if status := term.end(); status != 0 || !strings.Contains(term.seen(), "-  app: mine") || strings.Contains(term.seen(), "branch that releases") {
		t.Errorf("status %d\n%s", status, term.seen())
	}
	holds(t, filepath.Join(dir, ".knowngood.yaml"), "app: mine")
	holds(t, filepath.Join(dir, ".github/workflows/release.yml"), "deploy: make deploy")
	holds(t, filepath.Join(dir, ".github/workflows/release.yml"), "branches: [trunk]")
	holds(t, filepath.Join(dir, ".github/workflows/gate.yml"), "uses: knowngood/knowngood/action/gate@")
	holds(t, filepath.Join(dir, "knowngood-rbac.yaml"), "namespace: prod")
}

// Whoever goes away in the middle leaves the repository as it was.
func TestInitThatIsNotAnsweredWritesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys   string
		status int
		says   string
	}{
		"Ctrl-C":      {"\x03", 130, "nothing was written"},
		"Ctrl-D":      {"\x04", 2, "the input ended before the question was answered; nothing was written"},
		"no such one": {"jenkins\n", 2, `"jenkins": want github, gitea, forgejo or tekton`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := aRepository(t)
			term := onTerminal(t, dir, "init")
			term.answer("name of the application", "\n")
			term.answer("its namespace", "\n")
			term.answer("for whom", test.keys)
			if status := term.end(); status != test.status || !strings.Contains(term.seen(), test.says) {
				t.Errorf("status %d\n%s", status, term.seen())
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}
