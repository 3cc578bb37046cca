// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Mirror is the Debian archive that this host's own apt uses: the first one whose
// signed index says that it comes from Debian and holds the release itself, not
// its updates. Other vendors' archives are never taken, whatever their names.
func Mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its archives (a Debian host is needed): %w", err)
	}
	mirror := pick(out)
	if mirror == "" {
		return "", fmt.Errorf("apt knows no archive of Debian's: name one in /etc/apt/sources.list.d, then apt-get update")
	}
	return mirror, nil
}

func pick(targets []byte) string {
	for lines := bufio.NewScanner(bytes.NewReader(targets)); lines.Scan(); {
		fields := strings.Split(lines.Text(), "|")
		if len(fields) == 4 && fields[0] == "Debian" && fields[2] == "main" && !strings.Contains(fields[1], "-") {
			return strings.TrimSuffix(fields[3], "/")
		}
	}
	return ""
}

// HostSuite is the code name of the Debian release that this host runs.
func HostSuite() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("reading which Debian this is: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", fmt.Errorf("/etc/os-release names no release: give --suite")
}
