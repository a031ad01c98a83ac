package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/transship/transship/state"
)

func TestExplain(t *testing.T) {
	for code, want := range map[string]error{"53100": state.ErrFull, "XX001": state.ErrDamaged, "23505": nil} {
		err := &pgconn.PgError{Code: code}
		got := explain(err)
		if !errors.Is(got, err) || want != nil && !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	if !again(&pgconn.PgError{Code: "40P01"}) || again(errors.New("x")) {
		t.Error("a deadlock is worth another try, a fault is not")
	}
}
