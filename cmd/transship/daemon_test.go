package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/transship/transship/state/postgres/pgtest"
)

// TestDaemon runs testdata/daemon, whose scripts may use a PostgreSQL server, too:
//
//	database NAME       make a database
//	sql DATABASE TEXT   run statements there, as the superuser
//	newer FILE          make state of a newer program of a state file
//
// $PGSOCKET is the folder of the server's socket.
func TestDaemon(t *testing.T) {
	testscript.Run(t, withDatabase("testdata/daemon", pgtest.Start(t)))
}

// TestPooled runs testdata/pooled, whose scripts have what those of TestDaemon have, and
// two PgBouncers before the server: $TRANSACTION and $SESSION are their folders.
func TestPooled(t *testing.T) {
	c := pgtest.Start(t)
	transaction, session := c.Pooler(t, "transaction"), c.Pooler(t, "session")
	p := withDatabase("testdata/pooled", c)
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("TRANSACTION", transaction)
		env.Setenv("SESSION", session)
		return setup(env)
	}
	testscript.Run(t, p)
}

// withDatabase are params with commands that use c.
func withDatabase(dir string, c *pgtest.Cluster) testscript.Params {
	p := params(dir)
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("PGSOCKET", filepath.Dir(c.Socket()))
		return setup(env)
	}
	p.Cmds["database"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(pgtest.Run(c.Address("postgres"), "CREATE DATABASE "+first(args)))
	}
	p.Cmds["sql"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(pgtest.Run(c.Address(first(args)), strings.Join(args[1:], " ")))
	}
	p.Cmds["newer"] = func(ts *testscript.TestScript, _ bool, args []string) {
		db, err := sql.Open("sqlite", ts.MkAbs(first(args)))
		ts.Check(err)
		defer db.Close()
		_, err = db.Exec("INSERT INTO transship_schema (version_id, is_applied) VALUES (9999, 1)")
		ts.Check(err)
	}
	return p
}
