package postgres

import (
	"context"
	"sync"
	"time"
)

const (
	// ended are the turns that are over as this process knows them.
	ended = `unnest(CAST($1 AS TEXT[]), CAST($2 AS TEXT[]), CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]), CAST($5 AS TEXT[]))
		AS e (host, digest, holder, at, repo)`

	// endTurns tells of what has landed, with its repository, and gives up what is to be
	// claimed by others; those who wait are told.
	endTurns = `WITH ended AS MATERIALIZED (SELECT t.host, t.digest, e.repo FROM turn t
			JOIN ` + ended + ` ON t.host = e.host AND t.digest = e.digest
				AND t.holder = e.holder AND (t.at = e.at OR e.repo <> '')
			ORDER BY t.host, t.digest FOR UPDATE OF t),
		landed AS (UPDATE turn t SET holder = 0, repo = e.repo, at = ` + clock + `
			FROM ended e WHERE e.repo <> '' AND t.host = e.host AND t.digest = e.digest
			RETURNING t.host, t.digest, t.waited),
		gone AS (DELETE FROM turn t
			USING ended e WHERE e.repo = '' AND t.host = e.host AND t.digest = e.digest
			RETURNING t.host, t.digest, t.waited)
		SELECT COUNT(pg_notify('` + channel + `', host || ' ' || digest))
		FROM (SELECT * FROM landed UNION ALL SELECT * FROM gone) AS over WHERE waited = 1`

	// oldTurns drops what landed, or was left by the dead, more than $1 ago.
	oldTurns = `WITH alive AS MATERIALIZED (` + alive + `)
		DELETE FROM turn WHERE (host, digest) IN (SELECT host, digest FROM turn
			WHERE at < ` + clock + ` - $1
				AND holder NOT IN (SELECT n FROM alive) FOR UPDATE SKIP LOCKED)`

	// oldEvery is how often what nobody asks for any more is dropped.
	oldEvery = 10 * time.Minute
)

// An ending is a turn that is over.
type ending struct {
	spot
	hold
	repo string // where it has landed, "" if it has not
}

// end ends one user's part in h: all of it if the blob has landed.
func (t *turns) end(at spot, h *hold, repo string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.users--
	over := t.held[at] == h && (h.users == 0 || repo != "")
	if over {
		delete(t.held, at)
		t.tell(ending{at, *h, repo})
	}
}

// forget returns what says that a blob is not where it was said to be.
func (t *turns) forget(e ending) func() {
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.tell(e)
	})
}

// tell has the database told of an ending, soon, with those that come meanwhile. It
// expects mu to be held.
func (t *turns) tell(e ending) {
	if t.closed {
		return // with the session all of it ends
	}
	t.endings = append(t.endings, e)
	if e.repo != "" && e.holder == t.session.me.Load() {
		t.landed[e.spot] = e.repo
	}
	if !t.telling {
		t.telling = true
		t.side.Go(t.tellAll)
	}
}

// mostEndings is how many are told at once.
const mostEndings = 500

// tellAll tells endings until there are none. What cannot be told is left to those
// who wait for it, whose patience ends.
func (t *turns) tellAll() {
	for {
		t.mu.Lock()
		n := min(len(t.endings), mostEndings)
		batch := t.endings[:n:n]
		t.endings = t.endings[n:]
		t.telling = n > 0
		t.mu.Unlock()
		if n == 0 {
			return
		}
		t.tellBatch(batch)
		t.told(batch)
		t.clean()
	}
}

func (t *turns) tellBatch(batch []ending) {
	var hosts, digests, repos []string
	var holders, ats []int64
	for _, e := range batch {
		hosts, digests, repos = append(hosts, e.host), append(digests, e.digest), append(repos, e.repo)
		holders, ats = append(holders, e.holder), append(ats, e.at)
	}
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	for range turnTries {
		if _, err := t.session.db.ExecContext(ctx, endTurns, hosts, digests, holders, ats, repos); err == nil || !again(err) {
			return
		}
	}
}

func (t *turns) told(batch []ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range batch {
		delete(t.landed, e.spot)
	}
}

// clean drops turns that nobody asks for any more, now and then.
func (t *turns) clean() {
	t.mu.Lock()
	due := time.Since(t.cleaned) >= oldEvery
	if due {
		t.cleaned = time.Now()
	}
	t.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	_, _ = t.session.db.ExecContext(ctx, oldTurns, landedFor.Microseconds()) // the next time will do
}

// close waits for what is being told.
func (t *turns) close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.done)
	}
	t.mu.Unlock()
	t.side.Wait()
}
