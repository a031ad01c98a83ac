package postgres

import (
	"testing"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres/pgtest"
	"github.com/transship/transship/state/statetest"
)

func openAt(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	c := pgtest.Start(t)
	statetest.Run(t, func(t *testing.T) func() state.Store {
		dsn := c.Database(t)
		return func() state.Store { return openAt(t, dsn) }
	})
}
