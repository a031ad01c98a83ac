package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/transship/transship/state/statetest/needs"
)

// Pooler starts PgBouncer before the server, in a pool mode (session, transaction),
// and returns its folder, which stands for a host in an address. It listens at a
// unix socket only, and ends with t.
func (c *Cluster) Pooler(t testing.TB, mode string) string {
	t.Helper()
	program := needs.Tool(t, "pgbouncer")
	dir, err := os.MkdirTemp(c.dir, mode)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`[databases]
* = host=%s user=postgres
[pgbouncer]
unix_socket_dir = %s
listen_port = 5432
auth_type = any
pool_mode = %s
max_client_conn = 50
default_pool_size = 10
`, c.dir, dir, mode)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if c.owner != nil { // it refuses root, too
		if err := os.Chown(dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-q", file)
	cmd.Dir, cmd.SysProcAttr = dir, attributes(c.owner)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // at once
		_ = cmd.Wait()
	})
	waitFor(t, fmt.Sprintf("host=%s user=postgres dbname=postgres sslmode=disable", dir), log.Name())
	return dir
}
