package postgres

import (
	"context"
	"time"
)

const (
	// busyTurns are those of the given ones that a live process still has.
	busyTurns = `WITH alive AS MATERIALIZED (` + alive + `)
		SELECT t.host, t.digest FROM turn t
		JOIN unnest(CAST($1 AS TEXT[]), CAST($2 AS TEXT[])) AS w (host, digest) ON w.host = t.host AND w.digest = t.digest
		WHERE t.holder IN (SELECT n FROM alive)`

	// channel is where processes tell each other that a turn is over.
	channel = "transship_turn"
	listen  = "LISTEN " + channel

	// lookEvery is how often those who wait look whether the one they wait for has
	// died: then nobody tells them.
	lookEvery = 2 * time.Second
)

// waiting are those who wait for a change of one turn.
type waiting struct {
	change chan struct{} // closed at the next
	n      int
}

// wait has the caller told of the next change of a turn. It ends with leave.
func (t *turns) wait(at spot) *waiting {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.waiting[at]
	if w == nil {
		w = &waiting{change: make(chan struct{})}
		t.waiting[at] = w
	}
	w.n++
	if !t.looking && !t.closed {
		t.looking = true
		t.side.Go(t.look)
	}
	return w
}

func (t *turns) leave(at spot, w *waiting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.n--; w.n == 0 && t.waiting[at] == w {
		delete(t.waiting, at)
	}
}

// wake is told by the session that a turn has changed.
func (t *turns) wake(at string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for one := range t.waiting {
		if one.String() == at {
			t.changed(one)
		}
	}
}

// changed expects mu to be held.
func (t *turns) changed(at spot) {
	if w := t.waiting[at]; w != nil {
		delete(t.waiting, at)
		close(w.change)
	}
}

// look looks, for all who wait together, whether those they wait for still live,
// until nobody waits.
func (t *turns) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.done:
			return
		}
		hosts, digests := t.awaited()
		if len(hosts) == 0 {
			return
		}
		busy, err := t.busy(hosts, digests)
		if err != nil {
			continue
		}
		t.mu.Lock()
		for i := range hosts {
			if at := (spot{hosts[i], digests[i]}); !busy[at] {
				t.changed(at)
			}
		}
		t.mu.Unlock()
	}
}

// awaited are the turns that are waited for; without any it is noted that nobody
// looks.
func (t *turns) awaited() (hosts, digests []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := range t.waiting {
		hosts, digests = append(hosts, at.host), append(digests, at.digest)
	}
	t.looking = len(hosts) > 0
	return hosts, digests
}

// busy are those of the turns that a process which lives still has.
func (t *turns) busy(hosts, digests []string) (map[spot]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	rows, err := t.session.db.QueryContext(ctx, busyTurns, hosts, digests)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	busy := map[spot]bool{}
	for rows.Next() {
		var at spot
		if err := rows.Scan(&at.host, &at.digest); err != nil {
			return nil, err
		}
		busy[at] = true
	}
	return busy, rows.Err()
}
