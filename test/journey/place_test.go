// SPDX-License-Identifier: Apache-2.0

package journey

import "testing"

func TestHowToEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sudo bool
		want string
	}{
		{"demo", false, "make down"},
		{"demo-2", false, "make down NAME=demo-2"},
		{"demo", true, "sudo make down"},
		{"demo-2", true, "sudo make down NAME=demo-2"},
	} {
		if got := ending(c.name, c.sudo); got != c.want {
			t.Errorf("ending(%q, %t) = %q, want %q", c.name, c.sudo, got, c.want)
		}
	}
}
