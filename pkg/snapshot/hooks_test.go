// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/test/fakecluster"
)

// postgresql plays psql in a container, as far as the recipe speaks to it.
type postgresql struct {
	version   string
	fsync     string
	spaces    string
	directory string
	// slow is how long entering backup mode takes; stuck never answers the stop.
	slow  time.Duration
	stuck bool
	// dies ends the session by itself after this time in backup mode.
	dies time.Duration
	// roles that may log in; "" is the container's own user.
	roles []string

	mu       sync.Mutex
	inBackup bool
	sessions int
	said     []string
}

func newPostgreSQL() *postgresql {
	return &postgresql{version: "150018", fsync: "on", spaces: "0", directory: "/data/postgresql", roles: []string{""}}
}

// quiet tells whether no session is open and nothing is in backup mode.
func (p *postgresql) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions == 0 && !p.inBackup
}

func (p *postgresql) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

func (p *postgresql) change(open int, inBackup bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions += open
	p.inBackup = inBackup
}

// psql is the program of one session.
func (p *postgresql) psql(command kube.Command, stdin io.Reader, stdout io.Writer) error {
	role := ""
	for _, arg := range command.Args {
		if name, ok := strings.CutPrefix(arg, "--username="); ok {
			role = name
		}
	}
	if !strings.Contains(" "+strings.Join(p.roles, " ")+" ", " "+role+" ") {
		return &kube.ExitError{Status: 2, Stderr: fmt.Sprintf("psql: error: FATAL: role %q does not exist", role)}
	}
	p.change(1, false)
	defer p.change(-1, false)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdin); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	var death <-chan time.Time
	for {
		select {
		case line, open := <-lines:
			if !open {
				return nil
			}
			p.mu.Lock()
			p.said = append(p.said, line)
			p.mu.Unlock()
			switch {
			case strings.Contains(line, "server_version_num"):
				fmt.Fprintf(stdout, "%s|%s|%s|%s\n", p.version, p.fsync, p.spaces, p.directory)
			case strings.Contains(line, "pg_backup_start('") || strings.Contains(line, "pg_start_backup('"):
				time.Sleep(p.slow)
				p.change(0, true)
				if p.dies > 0 {
					death = time.After(p.dies)
				}
				fmt.Fprintln(stdout, "0/2000028")
			case p.stuck:
			case strings.Contains(line, "_stop"):
				p.change(0, false)
				fmt.Fprintln(stdout, `"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nLABEL: knowngood\n"`)
			default:
				return &kube.ExitError{Status: 3, Stderr: "ERROR: syntax error at " + line}
			}
		case <-death:
			go func() {
				for range lines { // until the input is closed
				}
			}()
			return &kube.ExitError{Status: 2, Stderr: "FATAL: terminating connection"}
		}
	}
}

// commands plays programs that run to their end.
type commands struct {
	fails map[string]string        // first word: what it says when it fails
	takes map[string]time.Duration // first word
}

func (c *commands) run(ctx context.Context, command kube.Command) (kube.Output, error) {
	name := command.Args[0]
	if err := pause(ctx, c.takes[name]); err != nil {
		return kube.Output{}, err
	}
	if said, ok := c.fails[name]; ok {
		return kube.Output{Stderr: said}, fmt.Errorf("%s: %w", command, &kube.ExitError{Status: 1, Stderr: said})
	}
	return kube.Output{}, nil
}

// play gives the fake cluster its containers.
func (w *world) play(database *postgresql, others *commands) *fakecluster.Streams {
	streams := &fakecluster.Streams{Run: others.run, Program: func(command kube.Command, stdin io.Reader, stdout io.Writer) error {
		if database == nil || command.Args[0] != "psql" {
			return errors.New("no such program")
		}
		return database.psql(command, stdin, stdout)
	}}
	w.Streams = streams
	return streams
}

// pod makes a running pod with one container that mounts the claims under /, each by its name.
func (w *world) pod(t *testing.T, name string, annotations map[string]string, claims []string, change ...func(*corev1.Pod)) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name, Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none.example/none:1"}}, Volumes: volumes(claims)},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}
	for _, claim := range claims {
		mount := corev1.VolumeMount{Name: claim, MountPath: "/" + claim}
		pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, mount)
	}
	for _, c := range change {
		c(pod)
	}
	_, err := w.Core.CoreV1().Pods(w.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	fatal(t, err)
}

// aside adds a second container.
func aside(pod *corev1.Pod) {
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "aside"})
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: "aside", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	})
}

// words lists the commands that ran.
func words(streams *fakecluster.Streams) []string {
	var all []string
	for _, command := range streams.Ran() {
		all = append(all, fmt.Sprintf("%s %s: %s", command.Pod, command.Container, strings.Join(command.Args, " ")))
	}
	return all
}
