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
//	pooler MODE         start PgBouncer before the server; $POOLER is its folder
//
// $PGSOCKET is the folder of the server's socket.
func TestDaemon(t *testing.T) {
	c := pgtest.Start(t)
	p := params("testdata/daemon")
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
	p.Cmds["pooler"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Setenv("POOLER", c.Pooler(t, first(args)))
	}
	p.Cmds["newer"] = func(ts *testscript.TestScript, _ bool, args []string) {
		db, err := sql.Open("sqlite", ts.MkAbs(first(args)))
		ts.Check(err)
		defer db.Close()
		_, err = db.Exec("INSERT INTO transship_schema (version_id, is_applied) VALUES (9999, 1)")
		ts.Check(err)
	}
	testscript.Run(t, p)
}
