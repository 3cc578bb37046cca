// SPDX-License-Identifier: Apache-2.0

package rotate

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/knowngood/knowngood/pkg/cert"
	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/kube"
	"github.com/knowngood/knowngood/pkg/release"
)

// Prepare has the selected certificates renewed where the request says so, and returns once
// the new ones lie in their Secrets. A failure of one does not stop the others; what was done
// is returned with the error, whose status is fault.Partial when some were renewed.
func Prepare(ctx context.Context, c *kube.Cluster, request Request) (release.TLS, error) {
	fit, skipped, err := selected(ctx, c, request)
	if err != nil {
		return release.TLS{}, err
	}
	left := release.TLS{Rotations: make([]release.Rotation, len(fit)), Skipped: skipped}
	errs := make([]error, len(fit))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i := range fit {
		group.Go(func() error {
			left.Rotations[i], errs[i] = cert.Renew(ctx, c, &fit[i], cert.Request{
				When: request.When, Timeout: request.Timeout, Trusted: request.Trusted,
			})
			if errs[i] != nil {
				left.Rotations[i].Error = errs[i].Error()
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	return left, fault.Together(ctx, slices.ContainsFunc(left.Rotations, renewed), errs)
}

func renewed(r release.Rotation) bool { return r.Renewed && r.Error == "" }
