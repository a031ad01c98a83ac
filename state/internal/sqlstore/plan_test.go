package sqlstore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/state/internal/sqlstore"
	"github.com/transship/transship/state/sqlite" // with the driver "sqlite"
)

// No query reads a whole table: ten million locations cost what ten do.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, text := range sqlstore.Queries() {
		t.Run(name, func(t *testing.T) { explain(t, db, text, "SCAN ") })
	}
	for name, text := range sqlstore.Ordered() {
		t.Run(name, func(t *testing.T) { explain(t, db, text, "TEMP B-TREE") })
	}
}

// explain fails if a step of the plan contains bad.
func explain(t *testing.T, db *sql.DB, text, bad string) {
	t.Helper()
	var args []any
	for strings.Contains(text, fmt.Sprint("$", len(args)+1)) {
		args = append(args, nil)
	}
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if plan := strings.Join(steps, "\n"); strings.Contains(plan, bad) || len(steps) == 0 {
		t.Errorf("%s\nplan:\n%s", text, plan)
	} else {
		t.Log(plan)
	}
}
