// SPDX-License-Identifier: Apache-2.0

package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// password opens the repositories of a comparison.
const password = "a password of the comparison"

// An engine is a program that backs folders up, by the commands that a person would type.
type engine struct {
	name string
	// home is where its repository lies, and all that it keeps beside.
	home string
	// place is its repository as the program is told of it; "" is the folder repository in home.
	place string
	// program is the path of it, "" for programs of the system.
	program string
	environ []string

	begin   func(e engine) [][]string // makes the repository
	save    func(e engine, folder string) [][]string
	restore func(e engine, to string) [][]string
}

func (e engine) repository() string {
	if e.place != "" {
		return e.place
	}
	return filepath.Join(e.home, "repository")
}

func knowngood(program string) engine {
	save := func(e engine, folder, volume string) []string {
		return []string{
			program, "backup", "save", folder, "--app", "compare", "--volume", volume, "--commit", strings.Repeat("1", 40),
			"--catalog", filepath.Join(e.home, "catalog"), "--repository", e.repository(),
		}
	}
	return engine{
		name: "knowngood", program: program,
		environ: []string{"KNOWNGOOD_REPOSITORY_PASSWORD=" + password},
		begin: func(e engine) [][]string { // the first save sets the repository up
			empty := filepath.Join(e.home, "empty")
			return [][]string{{"mkdir", "-p", empty}, save(e, empty, "empty")}
		},
		save: func(e engine, folder string) [][]string { return [][]string{save(e, folder, "tree")} },
		restore: func(e engine, to string) [][]string {
			return [][]string{{program, "backup", "restore", "--latest", "--to", to, "--repository", e.repository(), "--app", "compare", "--volume", "tree"}}
		},
	}
}

func kopia(program string) engine {
	with := func(e engine, args ...string) []string {
		return append([]string{program, "--config-file", filepath.Join(e.home, "kopia.config"), "--log-dir", filepath.Join(e.home, "logs"), "--no-progress"}, args...)
	}
	return engine{
		name: "kopia", program: program,
		environ: []string{"KOPIA_PASSWORD=" + password, "KOPIA_CHECK_FOR_UPDATES=false"},
		begin: func(e engine) [][]string {
			create := with(e, "repository", "create", "filesystem", "--path", e.repository(), "--cache-directory", filepath.Join(e.home, "cache"))
			if endpoint, ok := strings.CutPrefix(e.place, "http://"); ok {
				create = with(e, "repository", "create", "s3", "--endpoint", endpoint, "--disable-tls", "--bucket", "kopia",
					"--access-key", "tester", "--secret-access-key", "tester-secret", "--cache-directory", filepath.Join(e.home, "cache"))
			}
			return [][]string{create, with(e, "policy", "set", "--global", "--compression=zstd-fastest")}
		},
		save: func(e engine, folder string) [][]string { return [][]string{with(e, "snapshot", "create", folder)} },
		restore: func(e engine, to string) [][]string {
			return [][]string{with(e, "snapshot", "list", "--json"), with(e, "snapshot", "restore", "LAST", to)}
		},
	}
}

func restic(program string) engine {
	with := func(e engine, args ...string) []string {
		return append([]string{program, "--repo", e.repository(), "--cache-dir", filepath.Join(e.home, "cache"), "--quiet"}, args...)
	}
	return engine{
		name: "restic", program: program,
		environ: []string{"RESTIC_PASSWORD=" + password, "AWS_ACCESS_KEY_ID=tester", "AWS_SECRET_ACCESS_KEY=tester-secret"},
		begin:   func(e engine) [][]string { return [][]string{with(e, "init")} },
		save:    func(e engine, folder string) [][]string { return [][]string{with(e, "backup", folder)} },
		restore: func(e engine, to string) [][]string {
			return [][]string{with(e, "restore", "latest", "--target", to)}
		},
	}
}

// archive is neither encrypted nor deduplicated: the least that a copy can cost.
func archive() engine {
	shell := func(script string, args ...string) []string {
		return append([]string{"sh", "-c", script, "sh"}, args...)
	}
	return engine{
		name:  "tar|zstd",
		begin: func(e engine) [][]string { return [][]string{{"mkdir", "-p", e.repository()}} },
		save: func(e engine, folder string) [][]string {
			return [][]string{shell(`tar -C "$1" -cf - . | zstd -1 -q >"$2/$(ls "$2" | wc -l).tar.zst"`, folder, e.repository())}
		},
		restore: func(e engine, to string) [][]string {
			return [][]string{shell(`mkdir -p "$2" && zstd -dcq "$1/$(($(ls "$1" | wc -l) - 1)).tar.zst" | tar -C "$2" -xf -`, e.repository(), to)}
		},
	}
}

// A cost is what one piece of work took.
type cost struct {
	CPU, Wall float64 // seconds
	Peak      float64 // MB: of the process, or of the largest of several
	Stored    float64 // MB by which the repository grew
}

// run runs the commands one after the other and adds up what they took.
func (e engine) run(ctx context.Context, commands [][]string) (cost, error) {
	var total cost
	last := ""
	for _, command := range commands {
		for i, word := range command {
			if word == "LAST" {
				command[i] = last
			}
		}
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(append(os.Environ(), "HOME="+e.home, "XDG_CACHE_HOME="+filepath.Join(e.home, "xdg")), e.environ...)
		var said strings.Builder
		cmd.Stderr = &said
		began := time.Now()
		output, err := cmd.Output()
		if err != nil {
			return total, fmt.Errorf("%s: %w: %s", strings.Join(command[:min(len(command), 8)], " "), err, said.String())
		}
		total.Wall += time.Since(began).Seconds()
		total.CPU += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			total.Peak = max(total.Peak, float64(usage.Maxrss)*1024/1e6)
		}
		last = newest(output)
	}
	return total, nil
}

// newest returns the id of the last of the snapshots that kopia lists.
func newest(output []byte) string {
	var snapshots []struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(output, &snapshots) != nil || len(snapshots) == 0 {
		return ""
	}
	return snapshots[len(snapshots)-1].ID
}

// size returns how many bytes the files of a folder have.
func size(folder string) (int64, error) {
	var total int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return total, err
}

// same tells whether a file is in both folders with the same bytes.
func same(one, other string) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return err
	}
	defer b.Close()
	left, right := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, left)
		m, errB := io.ReadFull(b, right)
		if n != m || string(left[:n]) != string(right[:m]) {
			return fmt.Errorf("%s is not as %s", other, one)
		}
		if errA != nil || errB != nil {
			return nil
		}
	}
}
