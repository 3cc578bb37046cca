// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Place returns settings with fresh folders: Work is made anew, Cache is kept.
func Place(ctx context.Context, root string, out io.Writer) (Settings, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return Settings{}, err
	}
	work, err := os.MkdirTemp("", "knowngood-demo-")
	if err != nil {
		return Settings{}, err
	}
	return Settings{
		Root: root, Work: work, Cache: filepath.Join(caches, "knowngood"), Namespace: "shop", Out: out,
	}, ctx.Err()
}

// imagePackage is what making the database's image needs of Debian (test/image): asked for at
// the start, since it would be missed only after the long build of the cluster.
const imagePackage = "debootstrap"

// Own makes the place a cluster of this machine, which test/cluster starts or finds running.
func (s *Settings) Own(ctx context.Context, name string) error {
	if err := s.alone(name); err != nil {
		return err
	}
	cluster := filepath.Join(s.Work, "bin", "cluster")
	folder := filepath.Join(s.Root, "test", "cluster")
	for _, command := range [][]string{
		{folder, "go", "build", "-o", cluster, "."},
		{s.Root, cluster, "prepare", imagePackage},
		{s.Root, cluster, "up", "--name", name},
	} {
		if err := attached(ctx, s.Out, command[0], command[1], command[2:]...); err != nil {
			return err
		}
	}
	kubeconfig, err := exec.CommandContext(ctx, cluster, "kubeconfig", "--name", name).Output()
	if err != nil {
		return fmt.Errorf("kubeconfig of the cluster: %w", err)
	}
	s.Kubeconfig = strings.TrimSpace(string(kubeconfig))
	s.Kubectl = filepath.Join(filepath.Dir(s.Kubeconfig), "bin", "kubectl")
	s.Load = func(ctx context.Context, archives []string) error {
		return attached(ctx, s.Out, s.Root, cluster, append([]string{"load", "--name", name}, archives...)...)
	}
	s.End = ending(name, os.Getenv("SUDO_UID") != "")
	return s.freshNamespace(ctx)
}

// ending is the command that ends a cluster of this machine, for the person who started it.
func ending(name string, sudo bool) string {
	command := "make down"
	if sudo {
		command = "sudo " + command
	}
	if name != "demo" {
		command += " NAME=" + name
	}
	return command
}

// alone keeps other journeys out of the namespace until Close, or the process's end: each begins
// by deleting it.
func (s *Settings) alone(name string) error {
	if err := os.MkdirAll(s.Cache, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(s.Cache, "journey-"+name+"-"+s.Namespace+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.lock = file
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another demonstration runs on cluster %s of this machine: wait for it, or have another cluster with make demo NAME=%s-2", name, name), file.Close())
	}
	return nil
}

// freshNamespace removes what an earlier demonstration left, so that a second one shows the
// same journey.
func (s *Settings) freshNamespace(ctx context.Context) error {
	return attached(ctx, s.Out, s.Root, s.Kubectl, "--kubeconfig", s.Kubeconfig,
		"delete", "namespace", s.Namespace, "--ignore-not-found", "--wait=true", "--timeout=120s")
}

// attached runs a program whose output is for people.
func attached(ctx context.Context, out io.Writer, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	return nil
}

// Touchable returns what a release could change, as text to compare: snapshots, certificates
// with their revision, workloads with their generation.
func (j *Journey) Touchable(ctx context.Context) (string, error) {
	return j.Kubernetes(ctx, "get", "volumesnapshots,certificates,certificaterequests,deployments,statefulsets", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.generation} {.status.revision}{"\n"}{end}`)
}
