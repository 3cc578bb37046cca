// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/knowngood/knowngood/pkg/fault"
)

// Streams are what a cluster offers beyond objects. A test puts its own in the place of the
// API server's.
type Streams interface {
	// Exec runs a command in a container and returns what it printed. An exit status other
	// than 0 is an ExitError; at the command's deadline the error wraps ErrTimeout. Nothing
	// ends a command that outlives its caller, so give it a Stdin to watch where that matters.
	Exec(ctx context.Context, command Command) (Output, error)
	// Hold begins a command whose standard input stays open until it is released.
	Hold(ctx context.Context, command Command) (*Held, error)
	// Dial opens a connection to a port of a pod through the API server. No port is opened here.
	Dial(ctx context.Context, namespace, pod string, port int) (Conn, error)
}

// A Command is run in a container without a shell between.
type Command struct {
	Namespace string
	Pod       string
	Container string // never empty: the choice is explicit
	Args      []string
	Stdin     io.Reader // nil: none
	// Timeout is the hard deadline of the whole command; zero means DefaultExecTimeout.
	Timeout time.Duration
}

// DefaultExecTimeout is the deadline of a command that names none.
const DefaultExecTimeout = 30 * time.Second

// String names the place, for errors.
func (c Command) String() string {
	program := ""
	if len(c.Args) > 0 {
		program = c.Args[0]
	}
	return fmt.Sprintf("exec %s in %s/%s container %s", program, c.Namespace, c.Pod, c.Container)
}

// Output is what a command printed, each stream cut after outputLimit bytes.
type Output struct{ Stdout, Stderr string }

const outputLimit = 64 << 10

// An ExitError is a command's own failure.
type ExitError struct {
	Status int
	Stderr string
}

// Error tells the status and the last that the command said.
func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return fmt.Sprintf("exit status %d: %s", e.Status, OneLine(e.Stderr))
}

// streams speaks to the API server: by websocket, and by SPDY where that is refused.
type streams struct {
	config  *rest.Config
	cluster *Cluster
}

// Exec implements Streams.
func (s *streams) Exec(ctx context.Context, command Command) (Output, error) {
	if command.Timeout == 0 {
		command.Timeout = DefaultExecTimeout
	}
	running, cancel := context.WithTimeout(ctx, command.Timeout)
	defer cancel()
	var stdout, stderr capped
	err := s.stream(running, command, remotecommand.StreamOptions{Stdin: command.Stdin, Stdout: &stdout, Stderr: &stderr})
	output := Output{stdout.String(), stderr.String()}
	return output, s.ended(ctx, running, command, output, err)
}

// ended says why a command ended, in our words.
func (s *streams) ended(ctx, running context.Context, command Command, output Output, err error) error {
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w", command, &ExitError{exit.Code, output.Stderr})
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", command, ctx.Err())
	case running.Err() != nil:
		return fault.Hint(fmt.Errorf("%s: %w of %s met", command, ErrTimeout, command.Timeout),
			"the command may still run in the container: nothing ends it from outside")
	}
	return s.cluster.Explain(ctx, Call{"create", "pods/exec", command.Namespace, command.Pod}, err)
}

// stream runs the command. RBAC calls both ways "create pods/exec" (servers before 1.35 ask
// "get" for a websocket, so a refusal there is tried again by SPDY's POST).
func (s *streams) stream(ctx context.Context, command Command, options remotecommand.StreamOptions) error {
	// A logger without a sink keeps client-go from writing to standard error that a stream was
	// cut, which is how commands are ended here.
	ctx = klog.NewContext(ctx, klog.Logger{})
	target, err := s.target(command.Namespace, command.Pod, "exec", &corev1.PodExecOptions{
		Container: command.Container, Command: command.Args,
		Stdin: options.Stdin != nil, Stdout: true, Stderr: true,
	})
	if err != nil {
		return err
	}
	socket, err := remotecommand.NewWebSocketExecutor(s.config, http.MethodGet, target.String())
	if err != nil {
		return err
	}
	err = socket.StreamWithContext(ctx, options)
	refusal, again := refused(err)
	if !again {
		return refusal
	}
	spdy, err := remotecommand.NewSPDYExecutor(s.config, http.MethodPost, target)
	if err != nil {
		return err
	}
	err = spdy.StreamWithContext(ctx, options)
	var exit exec.CodeExitError
	if err != nil && apierrors.ReasonForError(refusal) != metav1.StatusReasonUnknown && !errors.As(err, &exit) {
		return refusal // the first answer came with a status; SPDY's is bare text
	}
	return err
}

// refused returns the answer inside a failed upgrade, and whether SPDY is worth a try.
func refused(err error) (error, bool) {
	var upgrade *httpstream.UpgradeFailureError
	if !errors.As(err, &upgrade) {
		return err, httpstream.IsHTTPSProxyError(err)
	}
	var status apierrors.APIStatus
	if errors.As(upgrade.Cause, &status) {
		return upgrade.Cause, apierrors.IsForbidden(upgrade.Cause)
	}
	return err, true
}

func (s *streams) target(namespace, pod, subresource string, options *corev1.PodExecOptions) (*url.URL, error) {
	config := rest.CopyConfig(s.config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	request := client.Post().Namespace(namespace).Resource("pods").Name(pod).SubResource(subresource)
	if options != nil {
		request = request.VersionedParams(options, scheme.ParameterCodec)
	}
	return request.URL(), nil
}

// capped keeps the first outputLimit bytes and swallows the rest, so that a command that
// prints without end neither blocks nor fills the memory.
type capped struct {
	mu   sync.Mutex
	kept []byte
	lost int
}

func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := min(len(p), outputLimit-len(c.kept))
	c.kept = append(c.kept, p[:room]...)
	c.lost += len(p) - room
	return len(p), nil
}

func (c *capped) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost > 0 {
		return fmt.Sprintf("%s… (%d bytes more)", c.kept, c.lost)
	}
	return string(c.kept)
}
