// SPDX-License-Identifier: Apache-2.0

package build

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// speakEvery is how often a long build says how far it is.
const speakEvery = 15 * time.Second

// goTool is the go command, and what it says its version is.
type goTool struct{ path, version string }

func (b *Builder) goTool(ctx context.Context) (goTool, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		path = "/usr/local/go/bin/go" // sudo's own search path leaves it out
		if _, err := os.Stat(path); err != nil {
			return goTool{}, errors.New("the go command is not in PATH, and not in /usr/local/go/bin: under sudo, say where with sudo env PATH=\"$PATH\" make")
		}
	}
	tool := goTool{path: path}
	out, err := b.run(ctx, tool, module{dir: "parts"}, "env", "GOVERSION", "GOOS", "GOARCH")
	tool.version = string(out)
	return tool, err
}

// command is a run of go in a module's folder, as the user to whom the caches belong, and unmoved by that user's GOFLAGS.
func (b *Builder) command(ctx context.Context, tool goTool, m module, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, tool.path, args...)
	cmd.Dir = filepath.Join(b.source, m.dir)
	cmd.Env = append(b.user.environ(os.Environ()), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off", "PWD="+cmd.Dir)
	cmd.SysProcAttr = b.user.attributes()
	return cmd
}

func (b *Builder) run(ctx context.Context, tool goTool, m module, args ...string) ([]byte, error) {
	cmd := b.command(ctx, tool, m, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func (b *Builder) moduleDir(ctx context.Context, tool goTool, name string) (string, error) {
	m := module{dir: "parts"}
	if _, err := b.run(ctx, tool, m, "mod", "download", name); err != nil {
		return "", err
	}
	dir, err := b.run(ctx, tool, m, "list", "-m", "-f", "{{.Dir}}", name)
	return strings.TrimSpace(string(dir)), err
}

// key is a digest of everything that a program is built from.
func (b *Builder) key(tool goTool, m module, p program) (string, error) {
	sum := sha256.New()
	add := func(name string, data []byte) { _, _ = fmt.Fprintf(sum, "%s %d\n%s\n", name, len(data), data) }
	add("go", []byte(tool.version))
	add("flags", []byte(strings.Join(b.flags(m), "\n")))
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(b.source, m.dir, name))
		if err != nil {
			return "", err
		}
		add(name, data)
	}
	for _, from := range crds {
		add(from.module, []byte(from.pattern))
	}
	if p.local != "" {
		if err := readTree(filepath.Join(b.source, m.dir, p.local), func(name string, data []byte) {
			add(strings.TrimPrefix(name, b.source), data)
		}); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func (b *Builder) flags(m module) []string {
	return []string{"-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=" + m.tags, "-ldflags=" + m.ldflags}
}

// compile builds programs into a folder and says how far it is.
func (b *Builder) compile(ctx context.Context, tool goTool, m module, programs []program, to string) error {
	began := time.Now()
	var names, packages []string
	for _, p := range programs {
		names, packages = append(names, p.name), append(packages, p.pkg)
	}
	b.say("building %s (from an empty cache, all of the cluster takes about ten minutes on two cores)", strings.Join(names, ", "))
	meter := &meter{began: began}
	stop := b.speak(meter)
	text, err := b.compileOnly(ctx, tool, m, packages, to, meter)
	stop()
	if err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", m.dir, err, text)
	}
	b.say("built %s in %s", strings.Join(names, ", "), time.Since(began).Round(time.Second))
	return nil
}

func (b *Builder) compileOnly(ctx context.Context, tool goTool, m module, packages []string, to string, meter *meter) (text string, err error) {
	list, err := b.run(ctx, tool, m, append([]string{"list", "-mod=readonly", "-deps", "-tags=" + m.tags}, packages...)...)
	if err != nil {
		return "", err
	}
	meter.expect(bytes.Count(list, []byte("\n")))
	args := append([]string{"build", "-v"}, b.flags(m)...)
	args = append(args, "-o", to+string(filepath.Separator))
	cmd := b.command(ctx, tool, m, append(args, packages...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	text = meter.read(stderr)
	return text, cmd.Wait()
}

// meter counts what go build -v tells.
type meter struct {
	mu    sync.Mutex
	total int // packages, the standard library and what is cached included; 0: not counted yet
	done  int
	last  string
	began time.Time
}

func (m *meter) expect(total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}

// read takes the names of packages as they come, and returns the lines that are something else.
func (m *meter) read(from io.Reader) string {
	var rest strings.Builder
	for lines := bufio.NewScanner(from); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.ContainsAny(line, " \t") {
			rest.WriteString(line + "\n")
			continue
		}
		m.mu.Lock()
		m.done, m.last = m.done+1, line
		m.mu.Unlock()
	}
	return rest.String()
}

func (b *Builder) speak(m *meter) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticker := time.NewTicker(speakEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				m.mu.Lock()
				count, total, last := m.done, m.total, m.last
				m.mu.Unlock()
				spent := time.Since(m.began).Round(time.Second)
				if total == 0 {
					b.say("  %s: fetching modules", spent)
					continue
				}
				if last == "" {
					last = "none, linking what is cached"
				}
				b.say("  %s: compiled %d of at most %d packages; last: %s", spent, count, total, last)
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}
