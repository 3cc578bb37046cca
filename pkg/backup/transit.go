// SPDX-License-Identifier: Apache-2.0

package backup

import "github.com/knowngood/knowngood/pkg/fault"

// InClear returns the server that the repository is reached at without TLS, "" where there is
// none.
func (r *Repository) InClear() string { return r.bucket.InClear() }

// Console returns the page of the provider's console about the repository, "" where there is none.
// emulator names the server that stands in for Google's, "" for none.
func (r *Repository) Console(emulator string) string { return r.bucket.Console(emulator) }

// overheard refuses to speak without TLS unless that is allowed. The content is encrypted before
// it leaves, and still whoever listens sees how much is saved, and may answer in the server's
// place.
func (r *Repository) overheard() error {
	server := r.InClear()
	switch {
	case server == "":
		return nil
	case !r.options.AllowHTTP:
		return fault.Hint(fault.Usagef("open the repository %s: %s would be spoken to without TLS", r.Place(), server),
			"give its https:// address, or allow it with --allow-http, which the record then tells")
	}
	r.options.Log.Warn("the repository is spoken to without TLS, as it is allowed", "server", server)
	return nil
}
