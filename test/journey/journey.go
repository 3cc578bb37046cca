// SPDX-License-Identifier: Apache-2.0

// Package journey takes commits of the shop (test/shop) through whole releases on a real
// cluster: real scans, data, certificates and a customer who asks all the while; the pull
// requests live on the fake GitHub of test/github. The demonstration shows what it returns and
// the end-to-end test asserts it.
package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/knowngood/knowngood/pkg/release"
	"github.com/knowngood/knowngood/test/github"
)

// Settings say where a journey takes place.
type Settings struct {
	// Root of the checkout, and Work, a folder for everything that is made.
	Root, Work string
	// Cache keeps what is slow to make: images and programs.
	Cache string
	// Kubectl is the program, and Kubeconfig, Context and Namespace where it goes.
	Kubectl, Kubeconfig, Context, Namespace string
	// Registry of the shop's images; "" means that Load brings them onto the node.
	Registry string
	Load     func(ctx context.Context, archives []string) error
	// End is the command that takes all of it away again, for a person.
	End string
	// Out takes progress, in plain lines.
	Out io.Writer

	// lock is held until Close.
	lock *os.File
}

// manager is the label of a namespace that a journey made.
const manager = "knowngood-demo"

// A Journey is one application on one cluster with its pull requests.
type Journey struct {
	Settings
	// Commits by name: first, clean, injection.
	Commits map[string]release.Commit
	// GitHub is the address of the fake.
	GitHub string

	shop, program string // built programs
	close         func() error
}

// Repository is what the fake GitHub calls the shop.
const Repository = "acme/shop"

// token is what the fake GitHub knows.
const token = "journey-token-that-opens-nothing"

// Pulls are the pull requests of the commits.
func Pulls() map[string]int { return map[string]int{"clean": 7, "injection": 8} }

// Begin builds the programs, writes the shop's repository, makes its images and deploys its
// first commit. Close ends what it started; what it deployed stays.
func Begin(ctx context.Context, settings Settings) (*Journey, error) {
	j := &Journey{Settings: settings}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"build knowngood and the shop's tools", j.build},
		{"write the shop's repository", j.repository},
		{"make the shop's images", j.images},
		{"open a GitHub of our own", j.openGitHub},
		{"deploy the shop's first commit", j.deployFirst},
	} {
		if err := j.timed(ctx, step.name, step.do); err != nil {
			return j, errors.Join(err, j.Close())
		}
	}
	return j, nil
}

// Close ends the fake GitHub and lets others into the namespace.
func (j *Journey) Close() error {
	var err error
	if j.close != nil {
		err = j.close()
	}
	if j.lock != nil {
		// A child that is being started elsewhere in the process has the file open, too.
		err = errors.Join(err, syscall.Flock(int(j.lock.Fd()), syscall.LOCK_UN), j.lock.Close())
	}
	return err
}

func (j *Journey) timed(ctx context.Context, name string, do func(context.Context) error) error {
	fmt.Fprintf(j.Out, "-- %s\n", name)
	began := time.Now()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(j.Out, "   %.1f s\n", time.Since(began).Seconds())
	return nil
}

func (j *Journey) build(ctx context.Context) error {
	j.program, j.shop = filepath.Join(j.Work, "bin", "knowngood"), filepath.Join(j.Work, "bin", "shop")
	if err := j.run(ctx, j.Root, "go", "build", "-ldflags=-s -w", "-o", j.program, "./cmd/knowngood"); err != nil {
		return err
	}
	return j.run(ctx, filepath.Join(j.Root, "test", "shop"), "go", "build", "-o", j.shop, ".")
}

func (j *Journey) repository(ctx context.Context) error {
	output, err := j.output(ctx, j.Root, j.shop, "repo", j.checkout())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(output, &j.Commits); err != nil {
		return fmt.Errorf("commits of the shop: %w", err)
	}
	_, err = j.output(ctx, j.checkout(), "git", "remote", "add", "origin", "https://github.com/"+Repository+".git")
	return err
}

// checkout is the shop's repository.
func (j *Journey) checkout() string { return filepath.Join(j.Work, "shop") }

// Catalog is where the records lie.
func (j *Journey) Catalog() string { return filepath.Join(j.Work, "catalog") }

func (j *Journey) images(ctx context.Context) error {
	args := []string{"images", "--repo", j.checkout(), "--out", filepath.Join(j.Cache, "images")}
	if j.Registry != "" {
		args = append(args, "--registry", j.Registry, "--push")
	}
	output, err := j.output(ctx, j.Root, j.shop, args...)
	if err != nil {
		return err
	}
	var made []struct{ Archive string }
	if err := json.Unmarshal(output, &made); err != nil {
		return fmt.Errorf("images of the shop: %w", err)
	}
	if j.Registry != "" {
		return nil
	}
	var archives []string
	for _, image := range made {
		archives = append(archives, image.Archive)
	}
	return j.Load(ctx, archives)
}

func (j *Journey) openGitHub(ctx context.Context) error {
	server := &github.Server{}
	server.AddToken(token, github.Token{Login: "github-actions[bot]", App: true, Scopes: github.Everything()})
	var pulls []github.Pull
	for name, number := range Pulls() {
		pulls = append(pulls, github.Pull{Number: number, Title: "Ship " + name, Head: string(j.Commits[name])})
	}
	server.Apply(github.Setup{Repository: Repository, Pulls: pulls})
	address, stop, err := serve(ctx, server)
	j.GitHub, j.close = address, stop
	return err
}

// deployFirst makes the namespace and opens the shop in it.
func (j *Journey) deployFirst(ctx context.Context) error {
	namespace := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"labels":{"app.kubernetes.io/managed-by":%q}}}`, j.Namespace, manager)
	if err := j.kubectlWith(ctx, namespace, "apply", "-f", "-"); err != nil {
		return err
	}
	if err := j.kubectlWith(ctx, "", "wait", "--for=create", "serviceaccount/default", "--timeout=60s"); err != nil {
		return err
	}
	return j.run(ctx, j.checkout(), "sh", "-euc", j.DeployScript("first"))
}

// DeployScript is the shop's own deploy, as a shop would write it: apply, then wait.
func (j *Journey) DeployScript(name string) string {
	kubectl := strings.Join(append([]string{j.Kubectl}, j.where()...), " ")
	registry := ""
	if j.Registry != "" {
		registry = " --registry " + j.Registry
	}
	return fmt.Sprintf("%[1]s manifests --tag %[2]s%[4]s | %[3]s apply -f - >&2\n"+
		"%[3]s rollout status statefulset/db --timeout=180s >&2\n"+
		"%[3]s rollout status deployment/shop --timeout=180s >&2\n",
		j.shop, j.Commits[name].Short(), kubectl, registry)
}

func (j *Journey) where() []string {
	args := []string{"--kubeconfig", j.Kubeconfig, "--namespace", j.Namespace}
	if j.Context != "" {
		args = append(args, "--context", j.Context)
	}
	return args
}

// environment is what programs of the journey run with; the build is the product's own, so
// that its cache serves.
func (j *Journey) environment(more ...string) []string {
	return append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false -tags=grpcnotrace,disable_grpc_modules,nopshufb"), more...)
}
