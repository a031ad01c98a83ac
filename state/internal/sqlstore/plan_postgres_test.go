package sqlstore_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/state/internal/sqlstore"
	"github.com/transship/transship/state/postgres/pgtest"
)

// PostgreSQL reads none of the large tables whole either, with the plan that it
// makes for any argument.
func TestPlansOfPostgres(t *testing.T) {
	h := postgresHeap(t, pgtest.Start(t), 7)
	conn, err := h.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	large := []string{"location", "blob", "target_tag", "source_tag", "referrers_checked"}
	for name, text := range sqlstore.Queries() {
		plan := explainPostgres(t, conn, name, text)
		for line := range strings.Lines(plan) {
			_, of, whole := strings.Cut(line, "Seq Scan on ")
			if table, _, _ := strings.Cut(strings.TrimSpace(of), " "); whole && slices.Contains(large, table) {
				t.Errorf("%s reads all of %s\n%s", name, table, plan)
			}
		}
	}
}

func explainPostgres(t *testing.T, conn *sql.Conn, name, text string) string {
	t.Helper()
	args := 0
	for strings.Contains(text, fmt.Sprint("$", args+1)) {
		args++
	}
	if _, err := conn.ExecContext(t.Context(), "PREPARE q_"+name+" AS "+text); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	execute := "EXPLAIN EXECUTE q_" + name
	if args > 0 {
		execute += "(" + strings.Repeat("NULL, ", args-1) + "NULL)"
	}
	rows, err := conn.QueryContext(t.Context(), execute)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var step string
		if err := rows.Scan(&step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, "\n")
}
