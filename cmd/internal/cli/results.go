// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// results is standard output. A result that could not be written is no reason to leave a release
// half done, so writing never fails; that it did is told when the command ends.
type results struct {
	out    io.Writer
	failed error
}

func (r *results) Write(p []byte) (int, error) {
	if r.failed == nil {
		_, r.failed = r.out.Write(p)
	}
	return len(p), nil
}

// lost returns what kept results from whom they were for. A reader that has gone away, as head
// does, has had what it wanted.
func (r *results) lost() error {
	if r.failed == nil || errors.Is(r.failed, syscall.EPIPE) {
		return nil
	}
	return fmt.Errorf("the result was not written whole: %w", r.failed)
}
