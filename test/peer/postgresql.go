// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// PostgreSQLSwitch names the environment variable that says where PostgreSQL's server
// programs are; without it Debian's folders are looked through.
const PostgreSQLSwitch = "KNOWNGOOD_TEST_POSTGRESQL"

// A Database is a real PostgreSQL server on loopback, with its data in a scratch folder.
type Database struct {
	Address string
	folder  string
	process *os.Process
	owner   *syscall.Credential
}

// StartPostgreSQL starts a server that serves the certificate (TLS off when it is nil) and
// stops it when the test ends. The test is skipped where PostgreSQL is not installed.
func StartPostgreSQL(t testing.TB, certificate *tls.Certificate) *Database {
	t.Helper()
	programs := serverPrograms(t)
	// The server refuses to run as root, and its sockets' paths have to be short.
	folder, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	d := &Database{folder: folder, owner: unprivileged(t)}
	if d.owner != nil {
		if err := os.Chown(folder, int(d.owner.Uid), int(d.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(folder, "data")
	initdb := d.command(t.Context(), filepath.Join(programs, "initdb"), "--no-sync", "--auth=trust", "--username=postgres", "--pgdata="+data)
	if output, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	d.start(t, filepath.Join(programs, "postgres"), data, certificate)
	return d
}

func (d *Database) start(t testing.TB, program, data string, certificate *tls.Certificate) {
	t.Helper()
	port := freePort(t)
	d.Address = net.JoinHostPort("127.0.0.1", port)
	arguments := []string{
		"-D", data, "-k", d.folder, "-h", "127.0.0.1", "-p", port, "-c", "fsync=off",
		"-c", "ssl_cert_file=" + d.file("tls.crt"), "-c", "ssl_key_file=" + d.file("tls.key"),
	}
	if certificate != nil {
		d.Install(t, *certificate)
		arguments = append(arguments, "-c", "ssl=on")
	}
	server := d.command(context.WithoutCancel(t.Context()), program, arguments...)
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	d.process = server.Process
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // immediate shutdown
		_ = server.Wait()
		if t.Failed() {
			t.Logf("PostgreSQL's log:\n%s", log.String())
		}
	})
	d.ready(t)
}

// ready waits until the server takes connections.
func (d *Database) ready(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", d.Address, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL on %s: %v", d.Address, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Install puts the certificate where the server looks for it when it is told to reload.
func (d *Database) Install(t testing.TB, certificate tls.Certificate) {
	t.Helper()
	for name, text := range map[string][]byte{"tls.crt": PEM(certificate.Leaf), "tls.key": KeyPEM(t, certificate)} {
		if err := os.WriteFile(d.file(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if d.owner != nil {
			if err := os.Chown(d.file(name), int(d.owner.Uid), int(d.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Reload tells the server to read its files again, as pg_reload_conf() does.
func (d *Database) Reload(t testing.TB) {
	t.Helper()
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func (d *Database) file(name string) string { return filepath.Join(d.folder, name) }

func (d *Database) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = d.folder
	command.Env = append(os.Environ(), "LC_ALL=C")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: d.owner}
	return command
}

func serverPrograms(t testing.TB) string {
	t.Helper()
	pattern := "/usr/lib/postgresql/*/bin"
	if folder := os.Getenv(PostgreSQLSwitch); folder != "" {
		pattern = folder
	}
	found, _ := filepath.Glob(filepath.Join(pattern, "initdb"))
	if len(found) == 0 {
		t.Skipf("no PostgreSQL in %s: install it, or set %s to the folder of initdb and postgres", pattern, PostgreSQLSwitch)
	}
	return filepath.Dir(found[len(found)-1])
}

// unprivileged returns whom to run the server as, nil for ourselves.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("PostgreSQL does not run as root and %v: run the tests as another user", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("account postgres: uid %s, gid %s", account.Uid, account.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
