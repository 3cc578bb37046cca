// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"errors"
	"fmt"

	"github.com/knowngood/knowngood/pkg/fault"
	"github.com/knowngood/knowngood/pkg/release"
)

// spare leaves out the snapshots of a release at whose risk the policy wants nothing kept.
func spare(run *Run, d release.Decision, e *release.Entry) error {
	why := fmt.Sprintf("all claims: the policy wants nothing kept (%s)", d.ProtectBecause)
	e.Protection = &release.Protection{Skipped: []string{why}}
	run.Log.Info("skipped", "what", why)
	return errors.Join(
		run.Host.Output("snapshots", ""), run.Host.Output("frozen-seconds", "0.000"), run.Host.Output("consistency", ""))
}

// beyondSnapshots is an error where the policy wants more kept than snapshots: they are there,
// and what else was asked for is not.
func beyondSnapshots(d release.Decision) error {
	if d.Protect != release.ProtectBackup && d.Protect != release.ProtectVerify {
		return nil
	}
	return fault.Hint(
		fault.Exit(fault.Partial, fmt.Errorf("the policy wants protection by %s (%s), and this step takes snapshots alone", d.Protect, d.ProtectBecause)),
		"make the backup by other means and write \"%s: snapshot\" under protect in %s", d.Risk, StandardConfig)
}

// unprotected is an error where a release leaves out what the policy wants kept.
func unprotected(d release.Decision) error {
	if d.Protect == "" || d.Protect == release.ProtectNothing {
		return nil
	}
	return fault.Hint(
		fault.Usagef("--skip snapshot leaves out what the policy wants: protection by %s (%s)", d.Protect, d.ProtectBecause),
		"nothing was touched; leave the snapshot in, or change protect in %s", StandardConfig)
}
