package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/transship/transship/state/internal/sqlstore"
)

const (
	// wakeQueue is River's queue of ours, and wakeKind the kind of its jobs.
	wakeQueue = "transship"
	wakeKind  = "transship_wake"

	// notifyEvery is how often one process tells the others at most that there are new
	// wake-ups: River keeps silent about what comes within that time of another. It is
	// the least that River takes.
	notifyEvery = time.Millisecond
	// fetchCooldown is the least time between two fetches of one process, each of as many
	// wake-ups as it has workers free: eight of them take 24,000 a minute at most.
	fetchCooldown = 20 * time.Millisecond

	// A wake-up lasts as long as the run that it led to. River calls one off that takes
	// longer than wakeTimeout, which nobody here listens to, and wakes again what hangs
	// for longer than wakeRescue; by then others have long taken over.
	wakeTimeout = 24 * time.Hour
	wakeRescue  = 25 * time.Hour

	// keepWakes is how long River keeps wake-ups that are over; it does not matter how
	// they ended.
	keepWakes = 10 * time.Minute
)

// A wake is the argument of a River job, which says that a row is due, and nothing
// more: whoever gets it takes the row whose turn it is.
type wake struct {
	Row int64     `json:"row"` // for people; 0 is of a wake-up that was lost
	now time.Time // by the database's clock
}

// Kind implements river.JobArgs.
func (wake) Kind() string { return wakeKind }

// byOurClock has River take a job as due by the database's clock, by which it looks
// for such, and not by this process's.
var byOurClock = river.HookInsertBeginFunc(func(_ context.Context, p *rivertype.JobInsertParams) error {
	if w, ok := p.Args.(wake); ok && p.State == rivertype.JobStateAvailable {
		p.ScheduledAt = &w.now
	}
	return nil
})

// wakesOf are the jobs that wake somebody for each of due.
func wakesOf(due []sqlstore.Due) []river.InsertManyParams {
	list := make([]river.InsertManyParams, len(due))
	for i, d := range due {
		list[i] = river.InsertManyParams{Args: wake{d.Row, d.Now}, InsertOpts: &river.InsertOpts{Queue: wakeQueue, ScheduledAt: d.Later}}
	}
	return list
}

// A waker puts wake-ups into transactions.
type waker struct{ client *river.Client[pgx.Tx] }

func newWaker(log *slog.Logger) (waker, error) {
	c, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		FetchCooldown: notifyEvery, Hooks: []rivertype.Hook{byOurClock}, Logger: log})
	return waker{c}, err
}

// due implements sqlstore.Engine's Due.
func (w waker) due(ctx context.Context, c *sql.Conn, due []sqlstore.Due) error {
	return c.Raw(func(driver any) error {
		_, err := w.client.InsertManyTx(ctx, underWay{driver.(*stdlib.Conn).Conn()}, wakesOf(due))
		if err != nil {
			return fmt.Errorf("wake somebody for what is due: %w", err)
		}
		return nil
	})
}

// connection is a name of pgx.Conn that leaves its methods one called Conn.
type connection = pgx.Conn

// underWay is the transaction that runs on a connection and that others begin and end.
type underWay struct{ *connection }

func (t underWay) Conn() *pgx.Conn                    { return t.connection }
func (t underWay) Commit(context.Context) error       { return errNotOurs }
func (t underWay) Rollback(context.Context) error     { return errNotOurs }
func (t underWay) LargeObjects() (l pgx.LargeObjects) { return l }

var errNotOurs = fmt.Errorf("%w: a transaction that others end", pgx.ErrTxClosed)

// migrateRiver brings River's own tables up to date.
func migrateRiver(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: log})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the tables of the dispatcher: %w", err)
	}
	return nil
}
