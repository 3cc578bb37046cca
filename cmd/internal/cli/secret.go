// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"time"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/step"
)

// secretPatience is how long the file of a secret may take to give it: one that is a pipe waits
// for its writer, which may ask a person for a passphrase, or never come.
const secretPatience = time.Minute

// secretFiles are the files of secrets that were read. Each is read once: a pipe, such as the
// shell's <(command), gives what it holds only once.
type secretFiles map[string]secretFile

type secretFile struct {
	data []byte
	err  error
}

func (f secretFiles) read(in step.Input, path string, patience time.Duration) (string, bool, error) {
	known, ok := f[path]
	if !ok {
		known = readWithin(path, patience)
		f[path] = known
	}
	switch {
	case known.err != nil:
		return "", false, fault.Usagef("%s_FILE: %w", in.Env(), known.err)
	case len(known.data) == 0:
		return "", false, fault.Usagef("%s_FILE: %s is empty", in.Env(), path)
	}
	return string(known.data), true, nil
}

func readWithin(path string, patience time.Duration) secretFile {
	done := make(chan secretFile, 1)
	go func() {
		data, err := os.ReadFile(path)
		done <- secretFile{data, err}
	}()
	select {
	case file := <-done:
		return file
	case <-time.After(patience):
		return secretFile{err: fault.Usagef("%s gave nothing within %s", path, patience)}
	}
}
