package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/state"
)

const (
	// askTurn claims a digest at several hosts, those of them that are free, and tells of
	// each who has it. Hosts are in order, so that of two processes which want the same
	// ones one gets them all. What has landed longer ago than $4 counts no more.
	askTurn = `WITH alive AS MATERIALIZED (` + alive + `),
		clock AS (SELECT ` + clock + ` AS now)
		INSERT INTO turn AS t (host, digest, holder, at)
		SELECT h, $2, $3, now FROM unnest(CAST($1 AS TEXT[])) AS h, clock ORDER BY h COLLATE "C"
		ON CONFLICT (host, digest) DO UPDATE SET
			holder = CASE WHEN ` + free + ` THEN excluded.holder ELSE t.holder END,
			repo   = CASE WHEN ` + free + ` THEN '' ELSE t.repo END,
			at     = CASE WHEN ` + free + ` THEN excluded.at ELSE t.at END,
			waited = CASE WHEN ` + free + ` OR t.holder = 0 THEN 0 ELSE 1 END
		RETURNING host, holder, repo, at`

	free = `(t.holder = excluded.holder OR t.holder = 0 AND t.at < excluded.at - $4
		OR t.holder <> 0 AND t.holder NOT IN (SELECT n FROM alive))`

	// landedFor is how long it is remembered where a blob has landed. State has it,
	// too, and plans are made by that: this is for plans that are being carried out.
	landedFor = 6 * time.Hour

	turnTries    = 3
	turnPatience = 10 * time.Second // with the database, for one question
)

// A spot is what a turn is about.
type spot struct{ host, digest string }

func (s spot) String() string { return s.host + " " + s.digest }

// turns are the turns of this process, which several of its runs may share.
type turns struct {
	session *session

	mu      sync.Mutex
	held    map[spot]*hold
	landed  map[spot]string // repositories of which the database is still to be told
	waiting map[spot]*waiting
	endings []ending
	telling bool // a goroutine is at it
	looking bool // the same for waiting
	cleaned time.Time
	closed  bool
	done    chan struct{} // closed with it
	side    sync.WaitGroup
}

// A hold is a turn that is this process's.
type hold struct {
	holder int64 // this process, by its session of that time
	at     int64 // with which the row must still be
	users  int
}

func newTurns(s *session) *turns {
	return &turns{session: s, held: map[spot]*hold{}, landed: map[spot]string{}, waiting: map[spot]*waiting{}, done: make(chan struct{})}
}

// Turn claims the right to bring a blob to a registry, in one question to the
// database, or waits for the process that has it, at most as long as b says. The
// right ends with the session, as that to a job does. Where it cannot be had or
// waited for, the answer is that it is the caller's turn, all the same.
func (s *Store) Turn(ctx context.Context, b state.Bring) (state.Turn, error) {
	return s.turns.turn(ctx, b)
}

func (t *turns) turn(ctx context.Context, b state.Bring) (state.Turn, error) {
	at := spot{b.Host, b.Digest.String()}
	if turn, ok := t.share(at); ok {
		return turn, nil
	}
	if turn, err := t.ask(ctx, at, b); !turn.Busy || b.Wait <= 0 {
		return turn, err
	}
	patience := time.NewTimer(b.Wait)
	defer patience.Stop()
	for {
		w := t.wait(at) // first, so that no change is missed
		turn, err := t.ask(ctx, at, b)
		if !turn.Busy {
			t.leave(at, w)
			return turn, err
		}
		over := false
		select {
		case <-w.change:
		case <-patience.C:
			over = true
		case <-ctx.Done():
			over = true
		}
		t.leave(at, w)
		if over {
			return state.Turn{Busy: true}, context.Cause(ctx)
		}
	}
}

// share joins a turn that this process has already, or has just ended.
func (t *turns) share(at spot) (state.Turn, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if repo := t.landed[at]; repo != "" {
		return state.Turn{There: repo, End: func() {}}, true
	}
	h := t.held[at]
	if h == nil || h.holder != t.session.me.Load() {
		return state.Turn{}, false
	}
	h.users++
	return t.give(at, h), true
}

// give is the turn of one user of h.
func (t *turns) give(at spot, h *hold) state.Turn {
	end := t.once(at, h)
	return state.Turn{Landed: end, End: func() { end("") }}
}

// once returns what ends one user's turn, when it is first called.
func (t *turns) once(at spot, h *hold) func(repo string) {
	var once sync.Once
	return func(repo string) { once.Do(func() { t.end(at, h, repo) }) }
}

// ask asks the database once. What that does not answer is everybody's turn, and an
// error.
func (t *turns) ask(ctx context.Context, at spot, b state.Bring) (turn state.Turn, err error) {
	me := t.session.me.Load()
	if me == 0 || ctx.Err() != nil {
		return state.Turn{}, context.Cause(ctx)
	}
	// A query that is broken off may have claimed something all the same.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnPatience)
	defer cancel()
	since := min(max(b.Since, 0), landedFor).Microseconds()
	rows, err := t.rows(asking, askTurn, t.wanted(at, b.Also, me), at.digest, me, since)
	if err != nil {
		return state.Turn{}, fmt.Errorf("ask for the turn to bring %s to %s: %w", at.digest, at.host, explain(err))
	}
	var spare []func(string)
	for _, r := range rows {
		one, h := spot{r.host, at.digest}, &hold{holder: r.holder, at: r.at, users: 1}
		switch {
		case h.holder == me && one == at:
			turn = t.give(one, t.keep(one, h))
		case h.holder == me:
			spare = append(spare, t.once(one, t.keep(one, h)))
		case one == at && h.holder == 0:
			turn = state.Turn{There: r.repo, End: t.forget(ending{one, *h, ""})}
		case one == at:
			turn.Busy = true
		}
	}
	switch {
	case len(spare) == 0:
	case turn.Landed == nil:
		spareAll(spare) // the caller has no use for the others
	default:
		turn.Spare = func() { spareAll(spare) }
	}
	return turn, nil
}

func spareAll(ends []func(repo string)) {
	for _, end := range ends {
		end("")
	}
}

// A row is one of the table.
type row struct {
	host, repo string
	holder, at int64
}

// rows asks once more where it was in the way of another process.
func (t *turns) rows(ctx context.Context, text string, args ...any) (all []row, err error) {
	for range turnTries {
		if all, err = t.rowsOnce(ctx, text, args...); err == nil || !again(err) {
			break
		}
	}
	return all, err
}

func (t *turns) rowsOnce(ctx context.Context, text string, args ...any) (all []row, err error) {
	rows, err := t.session.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.host, &r.holder, &r.repo, &r.at); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// wanted are the hosts to ask for, in order.
func (t *turns) wanted(at spot, also []string, me int64) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	hosts := []string{at.host}
	for _, host := range also {
		if h := t.held[spot{host, at.digest}]; h == nil || h.holder != me {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// keep notes a turn that the database has given, perhaps to another of us as well.
func (t *turns) keep(at spot, h *hold) *hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	if has := t.held[at]; has != nil && has.holder == h.holder {
		has.users++
		has.at = max(has.at, h.at)
		return has
	}
	t.held[at] = h
	return h
}
