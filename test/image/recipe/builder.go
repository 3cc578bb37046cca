// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/knowngood/knowngood/test/image/archive"
)

// A kind is what a path of the image is, as far as COPY needs to know.
type kind int

const (
	absent kind = iota
	file
	folder
)

// A builder follows the instructions of one stage.
type builder struct {
	request  Request
	file     *dockerfile
	meta     map[string]string
	platform map[string]string
	declared map[string]string // ARGs of this stage
	config   v1.Config
	parts    []archive.Part
	have     map[string]kind // every path of the layers so far

	commanded bool // CMD was given in this stage
}

// follow obeys one instruction, or says why not.
func (b *builder) follow(command instructions.Command) error {
	if wide, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		if err := wide.Expand(b.expand); err != nil {
			return fmt.Errorf("%s: %w", strings.ToUpper(command.Name()), err)
		}
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		return b.arg(c)
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			b.config.Env = setEnv(b.config.Env, pair.Key, pair.Value)
		}
	case *instructions.LabelCommand:
		for _, pair := range c.Labels {
			b.config.Labels = put(b.config.Labels, pair.Key, pair.Value)
		}
	case *instructions.WorkdirCommand:
		return b.workdir(c.Path, c.String())
	case *instructions.UserCommand:
		b.config.User = c.User
	case *instructions.ExposeCommand:
		return b.expose(c.Ports)
	case *instructions.VolumeCommand:
		for _, v := range c.Volumes {
			b.config.Volumes = put(b.config.Volumes, v, struct{}{})
		}
	case *instructions.StopSignalCommand:
		b.config.StopSignal = c.Signal
	case *instructions.EntrypointCommand:
		b.config.Entrypoint = line(c.ShellDependantCmdLine)
		if !b.commanded { // the base's arguments were for the base's program
			b.config.Cmd = nil
		}
	case *instructions.CmdCommand:
		b.config.Cmd, b.commanded = line(c.ShellDependantCmdLine), true
	case *instructions.CopyCommand:
		return b.copy(c)
	case *instructions.RunCommand:
		return errors.New("RUN is not executed here: run it in an earlier stage and give that stage's files (--from STAGE=FOLDER)")
	case *instructions.AddCommand:
		return errors.New("ADD is not supported, because it may fetch or unpack: use COPY")
	default:
		return fmt.Errorf("%s is not supported", strings.ToUpper(command.Name()))
	}
	return nil
}

// expand replaces variables: ENV wins over ARG.
func (b *builder) expand(word string) (string, error) {
	values := maps.Clone(b.declared)
	for _, pair := range b.config.Env {
		k, v, _ := strings.Cut(pair, "=")
		values = put(values, k, v)
	}
	return b.file.expand(word, values)
}

func (b *builder) arg(c *instructions.ArgCommand) error {
	for _, a := range c.Args {
		value, known, err := b.file.argument(a, b.request.Args, b.meta)
		if err != nil {
			return err
		}
		if known {
			b.declared = put(b.declared, a.Key, value)
		}
	}
	return nil
}

func (b *builder) workdir(dir, made string) error {
	b.config.WorkingDir = absolute(b.config.WorkingDir, dir)
	entries := b.parents(strings.TrimPrefix(b.config.WorkingDir, "/")+"/.", owner{})
	return b.add(entries, made)
}

func (b *builder) expose(ports []string) error {
	for _, p := range ports {
		port, err := b.expand(p)
		if err != nil {
			return fmt.Errorf("EXPOSE %s: %w", p, err)
		}
		if !strings.Contains(port, "/") {
			port += "/tcp"
		}
		b.config.ExposedPorts = put(b.config.ExposedPorts, port, struct{}{})
	}
	return nil
}

// image assembles what was built.
func (b *builder) image() (v1.Image, error) {
	return archive.Assemble(b.platform["TARGETARCH"], b.config, b.parts)
}

// learn remembers which paths a layer holds.
func (b *builder) learn(l v1.Layer) error {
	in, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer in.Close()
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.Trim(path.Clean("/"+header.Name), "/")
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeSymlink: // a link to a folder serves as one: /bin of Debian
			b.have[name] = folder
		default:
			b.have[name] = file
		}
	}
}

// line is a command as the image keeps it; the shell form asks for a shell.
func line(c instructions.ShellDependantCmdLine) []string {
	if c.PrependShell {
		return append([]string{"/bin/sh", "-c"}, c.CmdLine...)
	}
	return c.CmdLine
}

// absolute is dir as seen from the working folder.
func absolute(working, dir string) string {
	if path.IsAbs(dir) {
		return path.Clean(dir)
	}
	return path.Join("/", working, dir)
}

func setEnv(env []string, key, value string) []string {
	for i, pair := range env {
		if strings.HasPrefix(pair, key+"=") {
			env[i] = key + "=" + value
			return env
		}
	}
	return append(env, key+"="+value)
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
