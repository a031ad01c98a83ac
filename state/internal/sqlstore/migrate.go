package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"

	"github.com/pressly/goose/v3"

	"github.com/transship/transship/state"
)

//go:embed migrations/*.sql
var migrations embed.FS

// VersionTable is where the schema's version is written.
const VersionTable = "transship_schema"

// Migrate brings the schema of db up to date. It refuses with [state.ErrNewer]
// what a newer transship has written. The caller sees to it that only one process
// is here at a time.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return err
	}
	has, wants, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if has > wants {
		return newer(has, wants)
	}
	if has == wants {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema from version %d to %d: %w", has, wants, err)
	}
	giveBack()
	return nil
}

// giveBack returns the memory of a migration to the system: goose parses each
// direction in a buffer of 4 MiB and keeps them in a pool, which lives through one
// collection.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// Check compares the schema of db with this program's, without writing: it
// refuses a newer one with [state.ErrNewer] and an older one.
func Check(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	wants := sources[len(sources)-1].Version
	var has int64
	err = db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+VersionTable).Scan(&has)
	switch {
	case err != nil:
		return fmt.Errorf("read the version of the schema: %w", err)
	case has > wants:
		return newer(has, wants)
	case has < wants:
		return fmt.Errorf("the schema has version %d and this program reads %d: "+
			"run a command that writes, such as sync, to bring it up to date", has, wants)
	}
	return nil
}

func newer(has, wants int64) error {
	return fmt.Errorf("%w: the schema has version %d and this program knows %d; use a newer program, or other state",
		state.ErrNewer, has, wants)
}

func provider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d.goose, db, filled{sub, d.words},
		goose.WithTableName(VersionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
}
