package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/transship/transship/state/postgres/pgtest"
)

// A pooler that gives each transaction another session is refused, with the remedy; one
// in session mode is as good as none.
func testPooler(t *testing.T, c *pgtest.Cluster) {
	database := nameOf(c.Database(t))
	by := func(mode string) error {
		s, err := Open(t.Context(), "host="+c.Pooler(t, mode)+" user=postgres dbname="+database+" sslmode=disable", Options{})
		if err == nil {
			err = errors.Join(s.Close(), errors.New("opened"))
		}
		return err
	}
	for range 2 { // also where the schema is there already
		if err := by("transaction"); !errors.Is(err, errPooled) || !strings.Contains(err.Error(), "direct address") {
			t.Errorf("%v, want a refusal that names the remedy", err)
		}
		if err := by("session"); err.Error() != "opened" {
			t.Errorf("in session mode: %v", err)
		}
	}
}
