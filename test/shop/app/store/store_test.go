// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/pkitest"
	"github.com/knowngood/knowngood/test/shop/app/store"
)

// programs is the variable that names the folder with PostgreSQL's programs.
const programs = "SHOP_TEST_POSTGRES"

// nobody runs the database when the test runs as root, which PostgreSQL refuses.
const nobody = 65534

// openShop starts a PostgreSQL of the test's own with the shop's schema, on the
// loopback, and opens it as the shop does.
func openShop(t *testing.T) *store.Store {
	t.Helper()
	bin := os.Getenv(programs)
	if bin == "" {
		t.Skipf("set %s to the folder of initdb and postgres to run this against a real PostgreSQL", programs)
	}
	dir, err := os.MkdirTemp("", "shop-pg-*") // short, for the socket; open, for nobody
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	authority := pkitest.New(t)
	server, shop := authority.Issue(t, "localhost"), authority.Issue(t, "shop")
	write(t, dir, "server.crt", server.Certificate)
	write(t, dir, "server.key", server.Key)
	write(t, dir, "ca.crt", authority.PEM)
	write(t, dir, "pg_hba.conf", []byte("local all postgres trust\nhostssl shop shop all cert\n"))
	hand(t, dir)
	run(t, exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "--pgdata="+dir+"/data", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"))
	port := freePort(t)
	serve(t, exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bin, "postgres"), "-D", dir+"/data", "-c", "fsync=off",
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+port, "-c", "unix_socket_directories="+dir, "-c", "hba_file="+dir+"/pg_hba.conf",
		"-c", "ssl=on", "-c", "ssl_cert_file="+dir+"/server.crt", "-c", "ssl_key_file="+dir+"/server.key", "-c", "ssl_ca_file="+dir+"/ca.crt"))
	schema, err := filepath.Abs("../../db/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	ready(t, filepath.Join(bin, "pg_isready"), dir, port)
	run(t, exec.CommandContext(t.Context(), filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
		"--host="+dir, "--port="+port, "--username=postgres", "--dbname=postgres", "--file="+schema))
	opened, err := store.Open("host=localhost hostaddr=127.0.0.1 user=shop dbname=shop port="+port, shop.Certificate, shop.Key, authority.PEM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

func TestStoreOnPostgreSQL(t *testing.T) {
	shop := openShop(t)
	if err := shop.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("products are those of the schema", func(t *testing.T) {
		list, err := shop.Products(t.Context())
		if err != nil || len(list) != 12 {
			t.Fatalf("Products() = %d, %v; want 12", len(list), err)
		}
		if !slices.IsSortedFunc(list, func(a, b store.Product) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("Products() = %v, want them by name", list)
		}
	})
	t.Run("an order comes back as placed", func(t *testing.T) {
		placed, err := shop.Place(t.Context(), "key-1", "ada", 11, 3)
		if err != nil || placed.Total != 8970 || placed.ID <= 5000 {
			t.Fatalf("Place() = %+v, %v; want a total of 8970 after 5000 seeded orders", placed, err)
		}
		if read, err := shop.Order(t.Context(), placed.ID); err != nil || read != placed {
			t.Errorf("Order() = %+v, %v; want %+v", read, err, placed)
		}
		if again, err := shop.Place(t.Context(), "key-1", "ada", 11, 3); err != nil || again != placed {
			t.Errorf("Place() again = %+v, %v; want the same order", again, err)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		if _, err := shop.Place(t.Context(), "key-2", "ada", 99, 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Place() = %v, want ErrNotFound", err)
		}
		if _, err := shop.Order(t.Context(), 1e9); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Order() = %v, want ErrNotFound", err)
		}
	})
	for text, count := range map[string]int{"kettle": 1, "BLEND": 2, "tea": 0, "%": 0, "x' UNION SELECT id, customer, total FROM orders --": 0} {
		t.Run("search "+text, func(t *testing.T) {
			if found, err := shop.Search(t.Context(), text); err != nil || len(found) != count {
				t.Errorf("Search(%q) = %v, %v; want %d", text, found, err, count)
			}
		})
	}
}

// The shop must not speak to a database that shows a certificate for another name,
// or none.
func TestOpenVerifiesTheServer(t *testing.T) {
	authority := pkitest.New(t)
	shop := authority.Issue(t, "shop")
	for _, c := range []struct {
		name, want string
		server     *pkitest.Identity
		roots      []byte
	}{
		{"another name", "certificate is valid for other, not localhost", authority.Issue(t, "other"), authority.PEM},
		{"another authority", "certificate signed by unknown authority", authority.Issue(t, "localhost"), pkitest.New(t).PEM},
		{"no TLS", "SSL is not enabled on the server", nil, authority.PEM},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened, err := store.Open("host=localhost hostaddr=127.0.0.1 user=shop dbname=shop port="+fakePostgres(t, c.server), shop.Certificate, shop.Key, c.roots)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close() // nothing was connected
			if err := opened.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Ping() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hand gives the folder to the user who runs the database.
func hand(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, dir) {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
}

// unprivileged makes the command run as nobody when the test is root, and die with
// the test.
func unprivileged(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if filepath.Base(cmd.Path) == "initdb" {
		unprivileged(cmd)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
}

func serve(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	unprivileged(cmd)
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // at once; the data is thrown away
		_ = cmd.Wait()
	})
}

func ready(t *testing.T, isReady, dir, port string) {
	t.Helper()
	late, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for beat := time.NewTicker(100 * time.Millisecond); ; {
		if exec.CommandContext(late, isReady, "--quiet", "--host="+dir, "--port="+port).Run() == nil {
			beat.Stop()
			return
		}
		select {
		case <-late.Done():
			t.Fatal("PostgreSQL does not answer after 30 s")
		case <-beat.C:
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	defer listener.Close() // only its number was wanted
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
