// SPDX-License-Identifier: Apache-2.0

package space

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/knowngood/knowngood/test/cluster/layout"
)

// links is what the network namespace holds: a loopback, and a pair of virtual cables that ends in itself. The default route
// leads nowhere, so nothing can leave; it makes every address routable, so that those of Services reach the hook that rewrites
// them, and it gives the kubelet the address it looks for.
const links = `link set lo up
link add node0 type veth peer name node1
link set node1 up
addr add ` + layout.NodeAddress + `/24 dev node0
link set node0 up
route add default dev node0 src ` + layout.NodeAddress + `
`

// ownSysctls belong to the network namespace. The timeouts let a client that opens hundreds of connections a second reuse its
// ports: entries of closed connections, kept for two minutes by default, would still lead to pods that are gone.
var ownSysctls = map[string]string{
	"net/ipv4/ip_forward":                              "1",
	"net/netfilter/nf_conntrack_tcp_timeout_time_wait": "1",
	"net/netfilter/nf_conntrack_tcp_timeout_close":     "1",
	"net/netfilter/nf_conntrack_tcp_timeout_last_ack":  "2",
}

func connect(ctx context.Context) error {
	ip := exec.CommandContext(ctx, "ip", "-batch", "-")
	ip.Stdin = strings.NewReader(links)
	if out, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("making the network: ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	for key, value := range ownSysctls {
		err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // absent: the kernel tracks no connections yet
			return fmt.Errorf("setting %s: %w", key, err)
		}
	}
	return nil
}
