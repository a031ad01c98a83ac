package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres/pgtest"
)

// A database that cannot serve is refused at the start, with what to do about it.
func TestUnfit(t *testing.T) {
	c := pgtest.Start(t)
	open := func(dsn string) error {
		s, err := Open(t.Context(), dsn, Options{})
		if err == nil {
			err = errors.Join(s.Close(), errors.New("opened"))
		}
		return err
	}
	as := func(dsn, user string) string { return strings.Replace(dsn, "user=postgres", "user="+user, 1) }
	sane := c.Database(t)
	if err := open(sane); err == nil || err.Error() != "opened" {
		t.Fatal(err)
	}
	c.Exec(t, "CREATE ROLE guest LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE careful LOGIN SUPERUSER; ALTER ROLE careful SET default_transaction_read_only = on")
	closed, newer, bare := c.Database(t), c.Database(t), c.Database(t)
	c.In(t, closed, "REVOKE CONNECT ON DATABASE "+nameOf(closed)+" FROM PUBLIC")
	c.In(t, sane, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
	if err := open(newer); err.Error() != "opened" {
		t.Fatal(err)
	}
	c.In(t, newer, "INSERT INTO transship_schema (version_id, is_applied) VALUES (9999, true)")

	for name, tt := range map[string]struct {
		dsn   string
		kind  error
		words []string
	}{
		"no right to make tables": {as(bare, "guest"), nil, []string{"permission denied", "create tables in the schema"}},
		"no right to connect":     {as(closed, "guest"), nil, []string{"permission denied for database", "GRANT CONNECT"}},
		"tables of somebody else": {as(sane, "guest"), nil, []string{"permission denied for table", "own"}},
		"tables that may be read": {as(sane, "reader"), nil, []string{"permission denied for table", "own"}},
		"read-only by default":    {as(sane, "careful"), nil, []string{"read-only", "default_transaction_read_only"}},
		"read-only and new":       {as(bare, "careful"), nil, []string{"read-only", "default_transaction_read_only"}},
		"no such database":        {c.Address("nowhere"), nil, []string{`database "nowhere" does not exist`}},
		"no such user":            {as(bare, "nobody"), nil, []string{`role "nobody" does not exist`}},
		"of a newer program":      {newer, state.ErrNewer, []string{"9999"}},
	} {
		t.Run(name, func(t *testing.T) { unfit(t, open(tt.dsn), tt.kind, tt.words...) })
	}
	c.Standby(t)
	t.Run("standby", func(t *testing.T) { unfit(t, open(sane), nil, "standby", "primary") })
	c.Down(t)
	t.Run("down", func(t *testing.T) { unfit(t, open(sane), nil, "no such file or directory") })
	c.Up(t)
}

func unfit(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	t.Log(err)
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// nameOf is the name of a database by its address.
func nameOf(dsn string) string {
	_, name, _ := strings.Cut(dsn, "dbname=")
	name, _, _ = strings.Cut(name, " ")
	return name
}
