package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	driver "modernc.org/sqlite"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
)

// Options are all optional.
type Options struct {
	// ReadOnly opens an existing file beside its writer: no lock, no migrations, and
	// every write fails.
	ReadOnly bool
	// MaxBytes bounds the file; beyond it writes fail with [state.ErrFull]. 0 is no
	// bound but the disk's.
	MaxBytes int64
}

const (
	// applicationID marks our files in their header ("tran").
	applicationID = 0x7472616e

	busyTimeout = 10 * time.Second
	readers     = 4
	writerCache = 4 << 10 // KiB
	readerCache = 1 << 10 // KiB
	pageBytes   = 4096
	journalRest = 16 << 20 // bytes that the write-ahead log keeps after a checkpoint
)

// A Store is the state in one file.
type Store struct {
	*sqlstore.Store
	lock *lock // nil if read only
}

// Open opens the state at path, which it makes, with its folder, if there is none;
// only the user may read them. It fails with [state.ErrLocked] when another process
// writes it, [state.ErrDamaged] when it is no sound state file, and
// [state.ErrNewer]; the file is then as it was.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, explainOpen(path, o.ReadOnly, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.ReadOnly {
		return openReader(ctx, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	s, err := openWriter(ctx, path, o)
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return &Store{s, l}, nil
}

// Close gives back the claims that are held, closes the file and lets go of it.
func (s *Store) Close() error {
	err := s.Store.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

func openReader(ctx context.Context, path string) (*Store, error) {
	if _, err := inspect(ctx, path, true); err != nil {
		return nil, err
	}
	db, err := pool(path, readers, url.Values{"mode": {"ro"}, "_pragma": pragmas(readerCache)})
	if err != nil {
		return nil, err
	}
	e := engine(db, db)
	e.ReadOnly = true
	s, err := sqlstore.New(ctx, e)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{Store: s}, nil
}

func openWriter(ctx context.Context, path string, o Options) (*sqlstore.Store, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	fresh, err := inspect(ctx, path, false)
	if err != nil {
		return nil, err
	}
	write, err := pool(path, 1, writerQuery(o))
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, write, fresh); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := pool(path, readers, url.Values{"mode": {"ro"}, "_pragma": pragmas(readerCache)})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	s, err := sqlstore.New(ctx, engine(read, write))
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	return s, nil
}

// prepare marks a fresh file as ours before anything else is in it, and brings the
// schema up to date.
func prepare(ctx context.Context, db *sql.DB, fresh bool) error {
	if fresh {
		if _, err := db.ExecContext(ctx, "PRAGMA application_id = "+strconv.Itoa(applicationID)); err != nil {
			return err
		}
	}
	return sqlstore.Migrate(ctx, db, sqlstore.SQLite())
}

// create makes an empty file that only the user can read; SQLite gives its
// companions the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func engine(read, write *sql.DB) sqlstore.Engine {
	return sqlstore.Engine{
		Dialect: sqlstore.SQLite(),
		Read:    read,
		Write:   write,
		Now:     func(context.Context, *sql.Tx) (time.Time, error) { return time.Now(), nil },
		Explain: explain,
		Again:   func(error) bool { return false },
	}
}

func writerQuery(o Options) url.Values {
	p := append(pragmas(writerCache),
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		"journal_size_limit("+strconv.Itoa(journalRest)+")")
	if o.MaxBytes > 0 {
		p = append(p, "max_page_count("+strconv.FormatInt(max(1, o.MaxBytes/pageBytes), 10)+")")
	}
	return url.Values{"_txlock": {"immediate"}, "_pragma": p}
}

func pragmas(cacheKiB int) []string {
	return []string{
		"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")",
		"cache_size(-" + strconv.Itoa(cacheKiB) + ")",
	}
}

// pool opens at most width connections to path.
func pool(path string, width int, query url.Values) (*sql.DB, error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	c, err := driver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(width)
	db.SetMaxIdleConns(width)
	return db, nil
}

var _ state.Store = (*Store)(nil)
