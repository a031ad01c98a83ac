package sqlite

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
)

// checkPages is how large a file (256 MiB) is still read through at each start; the
// pages of a larger one are checked as they are used.
const checkPages = 64 << 10

// inspect looks at an existing file without writing to it: is it ours, whole, and
// of a version that this program knows? A fresh one has nothing in it.
func inspect(ctx context.Context, path string, readOnly bool) (fresh bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, fmt.Errorf("it is a folder: name the file")
	}
	if info.Size() == 0 && !readOnly {
		return true, nil
	}
	db, err := pool(path, 1, url.Values{"mode": {"ro"}, "_pragma": pragmas(readerCache)})
	if err != nil {
		return false, err
	}
	defer db.Close()

	var id, tables, pages int64
	err = db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT COUNT(*) FROM sqlite_schema), (SELECT page_count FROM pragma_page_count)`).Scan(&id, &tables, &pages)
	switch {
	case err != nil:
		return false, explain(err)
	case pages == 0 && info.Size() > 0: // too short for a header: SQLite would start anew over it
		return false, fmt.Errorf("%w: it is no database", state.ErrDamaged)
	case id != applicationID && tables > 0:
		return false, fmt.Errorf("%w: it is a database of another program", state.ErrDamaged)
	case tables == 0 && readOnly:
		return false, fmt.Errorf("there is no state in it yet: run a command that writes, such as sync")
	case tables == 0:
		return true, nil
	}
	if pages <= checkPages {
		var verdict string
		if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
			return false, explain(err)
		}
		if verdict != "ok" {
			return false, fmt.Errorf("%w: %s", state.ErrDamaged, verdict)
		}
	}
	if readOnly {
		return false, sqlstore.Check(ctx, db, sqlstore.SQLite())
	}
	return false, nil
}
