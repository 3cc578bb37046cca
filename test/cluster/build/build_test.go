// SPDX-License-Identifier: Apache-2.0

package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sources is a small copy of what keys are made of.
func sources(t *testing.T) *Builder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"parts/go.mod": "module m", "parts/go.sum": "", "parts/driver/main.go": "one", "parts/dns/main.go": "dns"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Builder{source: dir}
}

func TestKey(t *testing.T) {
	t.Parallel()
	b := sources(t)
	tool := goTool{version: "go1.26.4"}
	parts := module{dir: "parts", ldflags: "-s"}
	driver := program{name: "driver", pkg: "./driver", local: "driver"}
	dns := program{name: "dns", pkg: "./dns", local: "dns"}
	key := func(tool goTool, m module, p program) string {
		t.Helper()
		k, err := b.key(tool, m, p)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(b.source, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	driverKey, dnsKey := key(tool, parts, driver), key(tool, parts, dns)
	if key(tool, parts, driver) != driverKey {
		t.Error("the key of the same sources differs")
	}
	if key(goTool{version: "go1.26.5"}, parts, driver) == driverKey || key(tool, module{dir: "parts"}, driver) == driverKey {
		t.Error("the key does not know the version of Go or the flags")
	}
	write("parts/driver/main.go", "two")
	if key(tool, parts, driver) == driverKey {
		t.Error("the key does not know the program's own sources")
	}
	if key(tool, parts, dns) != dnsKey {
		t.Error("a change of one program builds another again")
	}
	write("parts/go.sum", "x")
	if key(tool, parts, dns) == dnsKey {
		t.Error("the key does not know the versions of modules")
	}
}

// TestPrograms: the sources of every program are where the list says, and no name is taken twice.
func TestPrograms(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"cluster": true, "crds": true, "tekton": true, "pause.tar": true} // other names in the same folder
	for _, m := range modules() {
		for _, p := range m.programs {
			if p.local != "" {
				if _, err := os.Stat(filepath.Join("..", m.dir, p.local, "main.go")); err != nil {
					t.Error(err)
				}
			}
			for _, name := range append(p.called, p.name) {
				if seen[name] {
					t.Errorf("two programs are called %s", name)
				}
				seen[name] = true
			}
			if !strings.HasSuffix(p.pkg, "/"+p.name) {
				t.Errorf("go build names the program of %s otherwise than %s", p.pkg, p.name)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for file, line := range map[string]string{"../parts/go.mod": "k8s.io/kubernetes " + kubernetes, "../parts/containerd/go.mod": "github.com/containerd/containerd/v2 " + containerd} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(data); !strings.Contains(text, line+"\n") && !strings.Contains(text, line+" // indirect\n") {
			t.Errorf("%s does not require %s: the programs would report a wrong version", file, line)
		}
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	env := []string{"HOME=/root", "USER=root", "PATH=/bin", "SUDO_UID=1000", "GOPROXY=direct"}
	user := &owner{uid: 1000, gid: 1000, name: "me", home: "/home/me"}
	got := user.environ(env)
	slices.Sort(got)
	want := []string{"GOPROXY=direct", "HOME=/home/me", "LOGNAME=me", "PATH=/bin", "USER=me"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	var nobody *owner
	if diff := cmp.Diff(env, nobody.environ(env)); diff != "" {
		t.Errorf("environment without sudo (-want +got):\n%s", diff)
	}
	if nobody.attributes() != nil || user.attributes().Credential.Uid != 1000 {
		t.Error("programs run as the wrong user")
	}
}
