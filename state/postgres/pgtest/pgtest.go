// Package pgtest runs a throw-away PostgreSQL server for tests, on a unix socket
// only, without fsync. The programs come from the machine (see package needs);
// under root the server runs as the user postgres, as it refuses root.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/transship/transship/state/statetest/needs"
)

// A Cluster is a running server.
type Cluster struct {
	dir   string // of sockets and data
	bin   string
	owner *syscall.Credential // nil is us
	log   *os.File
	run   *exec.Cmd
	count atomic.Int64
}

// Start makes a cluster and starts its server, which stops and vanishes with t.
// Text sorts by language there, not by bytes, as on many a real one.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{bin: filepath.Dir(needs.Tool(t, "postgres")), owner: owner(t)}
	var err error
	if c.dir, err = os.MkdirTemp("", "pgtest"); err != nil { // a socket's path must be short
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(c.dir) })
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
		"--no-instructions", "--locale=C", "--locale-provider=icu", "--icu-locale=en").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.Up(t)
	t.Cleanup(func() { c.Down(t) })
	return c
}

// Up starts the server and waits until it answers.
func (c *Cluster) Up(t testing.TB) {
	t.Helper()
	var err error
	if c.log, err = os.Create(filepath.Join(c.dir, "log")); err != nil {
		t.Fatal(err)
	}
	c.run = c.command("postgres", "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "max_connections=60", "-c", "shared_buffers=32MB",
		"-c", "max_wal_size=256MB", "-c", "deadlock_timeout=100ms")
	c.run.Stdout, c.run.Stderr = c.log, c.log
	if err := c.run.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c.Address("postgres"), c.log.Name())
}

// Down stops the server at once, as long as it runs: all sessions break.
func (c *Cluster) Down(t testing.TB) {
	t.Helper()
	if c.run == nil {
		return
	}
	_ = c.run.Process.Signal(syscall.SIGINT) // "fast": sessions are ended, data is kept
	_ = c.run.Wait()
	_ = c.log.Close()
	c.run = nil
}

// Standby restarts the server as a standby, which answers and refuses to write.
func (c *Cluster) Standby(t testing.TB) {
	t.Helper()
	c.Down(t)
	if err := os.WriteFile(filepath.Join(c.data(), "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Up(t)
}

// Primary makes a primary of a standby again.
func (c *Cluster) Primary(t testing.TB) {
	t.Helper()
	c.Down(t)
	if err := os.Remove(filepath.Join(c.data(), "standby.signal")); err != nil {
		t.Fatal(err)
	}
	c.Up(t)
}

// Database makes a new database and returns its address.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", c.count.Add(1))
	c.Exec(t, "CREATE DATABASE "+name)
	return c.Address(name)
}

// Address is the address of a database.
func (c *Cluster) Address(database string) string {
	return fmt.Sprintf("host=%s user=postgres dbname=%s sslmode=disable", c.dir, database)
}

// Socket is the path of the server's unix socket.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// Exec runs statements as the superuser, outside the databases of tests.
func (c *Cluster) Exec(t testing.TB, text string) {
	t.Helper()
	c.In(t, c.Address("postgres"), text)
}

// In runs statements in the database of an address.
func (c *Cluster) In(t testing.TB, address, text string) {
	t.Helper()
	if err := Run(address, text); err != nil {
		t.Fatal(err)
	}
}

// Run runs statements, which may be several, in the database of an address.
func Run(address, text string) error {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err = db.ExecContext(context.Background(), text, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = attributes(c.owner)
	return cmd
}

// waitFor waits until a server answers at an address. What it says is in log.
func waitFor(t testing.TB, address, log string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	deadline, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(deadline); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			text, _ := os.ReadFile(log)
			t.Fatalf("the server does not answer: %v\n%s", err, bytes.TrimSpace(text))
		}
	}
}
