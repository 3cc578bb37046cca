// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knowngood/knowngood/pkg/backup"
	"github.com/knowngood/knowngood/pkg/retain"
	"github.com/knowngood/knowngood/pkg/step"
)

// child is set in a process that a test starts to be killed; its value is what it does. moment
// is what time it is in it, in nanoseconds; absent it is the machine's own.
const (
	child  = "KNOWNGOOD_TEST_CHILD"
	moment = "KNOWNGOOD_TEST_MOMENT"
)

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	r, err := backup.Open(ctx, backup.Options{
		Place: os.Args[1], Password: key, App: "shop", Environment: "production", Now: childClock(),
		Log: slog.New(slog.DiscardHandler), Setup: true,
	})
	check(err)
	fmt.Println("begun")
	switch os.Getenv(child) {
	case "save":
		q := request(os.Args[2])
		q.Checkpoint = 20 * time.Millisecond
		made, err := r.Save(ctx, q)
		check(err)
		fmt.Println(made.ID)
	case "restore":
		_, err := r.Restore(ctx, backup.Target{ID: os.Args[3], Folder: os.Args[2]})
		check(err)
		fmt.Println("restored")
	case "restore as nobody":
		check(errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)))
		_, err := r.Restore(ctx, backup.Target{ID: os.Args[3], Folder: os.Args[2], Overwrite: true})
		fmt.Println(err)
	case "save a device":
		q := device(os.Args[2])
		q.Checkpoint = 20 * time.Millisecond
		made, err := r.Save(ctx, q)
		check(err)
		fmt.Println(made.ID)
	case "restore to a device":
		_, err := r.Restore(ctx, backup.Target{ID: os.Args[3], Device: os.Args[2]})
		check(err)
		fmt.Println("restored")
	case "restore to a device that fails":
		check(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 10 << 20, Max: 10 << 20}))
		_, err := r.Restore(ctx, backup.Target{ID: os.Args[3], Device: os.Args[2]})
		fmt.Println(err)
	case "verify in a full folder":
		signal.Ignore(unix.SIGXFSZ)
		check(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
		_, err := r.Verify(ctx, backup.Proof{ID: os.Args[3], Scratch: os.Args[2]})
		fmt.Println(err)
	case "verify as nobody":
		check(syscall.Setuid(65534))
		_, err := r.Verify(ctx, backup.Proof{ID: os.Args[3], Scratch: os.Args[2]})
		fmt.Println(err)
	case "verify":
		_, err := r.Verify(ctx, backup.Proof{ID: os.Args[3], Scratch: os.Args[2]})
		check(err)
		fmt.Println("proved")
	case "prune":
		did, err := r.Prune(ctx, backup.Pruning{Rules: retain.Rules{Last: 2}})
		check(err)
		fmt.Println(did.Plan.Digest)
	case "copy":
		to, err := backup.Open(ctx, backup.Options{
			Place: os.Args[2], Password: otherKey, App: "shop", Environment: "production", Now: time.Now,
			Log: slog.New(slog.DiscardHandler), Setup: true,
		})
		check(err)
		did, err := r.CopyTo(ctx, to)
		check(err)
		fmt.Println(did.Backups)
	case "rotate":
		check(r.ChangeKey(ctx, step.Hidden(os.Args[2])))
		fmt.Println("changed")
	}
}

func childClock() func() time.Time {
	given, err := strconv.ParseInt(os.Getenv(moment), 10, 64)
	if err != nil {
		return time.Now
	}
	began := time.Now()
	return func() time.Time { return time.Unix(0, given).Add(time.Since(began)) }
}

// killed runs a child and kills it within limit after it has begun, and returns what it said.
func killed(t *testing.T, limit time.Duration, what string, args ...string) []string {
	t.Helper()
	return killedAt(t, nil, limit, what, args...)
}

// killedAt is killed with the clock of a bucket.
func killedAt(t *testing.T, now *clock, limit time.Duration, what string, args ...string) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), child+"="+what)
	if now != nil {
		command.Env = append(command.Env, fmt.Sprintf("%s=%d", moment, now.Now().UnixNano()))
	}
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	kill := time.AfterFunc(limit, func() { command.Process.Kill() })
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	_ = command.Wait() // killed, or done before
	kill.Stop()
	return said
}
