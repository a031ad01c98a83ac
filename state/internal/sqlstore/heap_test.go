package sqlstore_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
	"github.com/transship/transship/state/postgres"
	"github.com/transship/transship/state/postgres/pgtest"
	"github.com/transship/transship/state/sqlite"
)

// A heap is a state of so many repositories at one host. Each has a thousand tags
// with a manifest, a config and a layer of their own, and 7,000 layers out of a
// pool that has as many times as many repositories as hold each of them: seven.
// One base layer is in all of them. That makes 10,000 locations a repository.
type heap struct {
	db    *sql.DB
	store state.Store
	repos int
	words *strings.Replacer // of the loading statements
	size  func() int64      // bytes on disk
	timer *timer            // of statements, or of whole questions where it counts other processes
	rand  *rand.Rand
}

const (
	heapTags = 1000
	heapOwn  = 3 * heapTags
	heapPool = 7
	heapHost = "target.test"
)

// load fills an empty state by what the database does best. The numbers of a
// blob, from 1: first the pool, then each repository's own, three a tag.
func (h *heap) load(t *testing.T) {
	t.Helper()
	for _, text := range []string{
		`INSERT INTO host (id, name) VALUES (1, 'target.test'), (2, 'source.test')`,
		`INSERT INTO repo (id, host_id, name) SELECT n, 1, 'mirror/team/service-' || n FROM {{series repos}}`,
		`INSERT INTO repo (id, host_id, name) SELECT {{repos}} + n, 2, 'team/service-' || n FROM {{series repos}}`,
		`INSERT INTO blob (id, digest, size) SELECT n, {{random}}, 1000000 + n FROM {{series blobs}}`,
		`INSERT INTO location (blob_id, host_id, repo_id)
			SELECT n, 1, 1 + (n * 7919 + i * 131) % {{repos}} FROM {{series pool}}, (SELECT 0 AS i UNION SELECT 1 UNION SELECT 2
				UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6) k WHERE true ON CONFLICT DO NOTHING`,
		`INSERT INTO location (blob_id, host_id, repo_id) SELECT 1, 1, n FROM {{series repos}} WHERE true ON CONFLICT DO NOTHING`,
		`INSERT INTO location (blob_id, host_id, repo_id) SELECT {{pool}} + n, 1, 1 + (n - 1) / 3000 FROM {{series own}}`,
		`INSERT INTO target_tag (repo_id, name, rule, source, selection, digest, put_at, verified_at, restored_at, restored)
			SELECT 1 + (b.id - {{pool}} - 1) / 3000, 'v1.' || ((b.id - {{pool}} - 1) % 3000 / 3), 'all', b.digest, 'a1b2c3d4e5f60718', b.digest,
				1700000000000000, 1700000000000000, 0, {{empty}}
			FROM blob b WHERE b.id > {{pool}} AND b.id % 3 = ({{pool}} + 1) % 3`,
		`INSERT INTO source_tag (repo_id, name, digest, first_seen) SELECT repo_id + {{repos}}, name, digest, put_at FROM target_tag`,
		`INSERT INTO referrers_checked (repo_id, subject, at) SELECT repo_id + {{repos}}, digest, put_at FROM target_tag`,
		`INSERT INTO manifest_subject (repo_id, manifest, subject)
			SELECT {{repos}} + 1 + (b.id - {{pool}} - 1) / 3000, b.digest, b.digest FROM blob b WHERE b.id > {{pool}} AND b.id % 30 = 0`,
		`INSERT INTO standing (rule, source_id, target_id, surveyed, pending, in_step, behind, failed, conflict, refused, cooling, gone, complete)
			SELECT 'all', {{repos}} + n, n, 1700000000000000, 0, 990, 10, 0, 0, 0, 0, 0, 1 FROM {{series repos}}`,
		`INSERT INTO item (rule, source_id, target_id, tag, kind, reason, hint, since)
			SELECT 'all', {{repos}} + n, n, 'v1.' || i, 'failed', 'the target refused it', 'look there', 1700000000000000
				FROM {{series repos}}, (SELECT 0 AS i UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) k`,
		`INSERT INTO work (key, wanted, done, detail) SELECT 'run/team/service-' || n, 1, 1,
			'[{"rule":"all","from":{"registry":"src","repo":"team/service"},"to":{"registry":"dst","repo":"mirror/team/service"}}]' FROM {{series repos}}`,
		`INSERT INTO pass (rule, cause, started, ended, outcome, jobs, ran)
			SELECT 'rule-' || n % 50, 'schedule', 1600000000000000 + n, 1600000000000001 + n, 'done', 1, 1 FROM {{series tags}}`,
		`ANALYZE`,
	} {
		if _, err := h.db.ExecContext(t.Context(), h.words.Replace(text)); err != nil {
			t.Fatalf("%s: %v", h.words.Replace(text), err)
		}
	}
}

func heapWords(repos int, series, random, empty string) *strings.Replacer {
	s := func(n int) string { return fmt.Sprintf(series, n) }
	return strings.NewReplacer(
		"{{repos}}", fmt.Sprint(repos), "{{series repos}}", s(repos),
		"{{pool}}", fmt.Sprint(repos*heapTags), "{{series pool}}", s(repos*heapTags), "{{series tags}}", s(repos*heapTags),
		"{{series own}}", s(repos*heapOwn), "{{series blobs}}", s(repos*(heapTags+heapOwn)),
		"{{random}}", random, "{{empty}}", empty)
}

func sqliteHeap(t *testing.T, repos int) *heap {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	timer := timed(t, store.Store, 4, 1)
	db, err := sql.Open("sqlite", path+"?_pragma=cache_size(-1000000)&_pragma=synchronous(OFF)&_pragma=journal_size_limit(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	h := &heap{db: db, store: store, repos: repos, timer: timer, rand: rand.New(rand.NewPCG(1, 2)),
		words: heapWords(repos, "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) SELECT n FROM c) s", "randomblob(32)", "x''"),
		size: func() int64 {
			var n int64
			for _, suffix := range []string{"", "-wal"} {
				if info, err := os.Stat(path + suffix); err == nil {
					n += info.Size()
				}
			}
			return n
		}}
	h.load(t)
	if _, err := db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	return h
}

func postgresHeap(t *testing.T, c *pgtest.Cluster, repos int) *heap {
	t.Helper()
	dsn := c.Database(t)
	store, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	// Its connections have to stay pgx's own, so that what is asked is timed as a whole.
	timer := &timer{processes: func() []int { return backends(t, db) }, took: map[string][]cost{}}
	h := &heap{db: db, store: store, repos: repos, timer: timer, rand: rand.New(rand.NewPCG(1, 2)),
		words: heapWords(repos, "generate_series(CAST(1 AS BIGINT), %d) s(n)", "sha256(int8send(n))", `''`),
		size: func() int64 {
			var n int64
			if err := db.QueryRowContext(t.Context(), "SELECT pg_database_size(current_database())").Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}}
	h.load(t)
	for _, table := range []string{"host", "repo", "blob", "work", "pass"} {
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', 'id'), (SELECT MAX(id) FROM %[1]s))", table)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// digests returns those of blobs by their numbers.
func (h *heap) digests(t *testing.T, from, n int) (list []v1.Hash) {
	t.Helper()
	rows, err := h.db.QueryContext(t.Context(), "SELECT digest FROM blob WHERE id >= $1 AND id < $2", from, from+n)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			t.Fatal(err)
		}
		list = append(list, v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", raw)})
	}
	return list
}

// timed has store ask through a timer.
func timed(t *testing.T, store *sqlstore.Store, readers, writers int) *timer {
	timer := &timer{took: map[string][]cost{}}
	read, write := store.Pools()
	pools := []*sql.DB{timer.pool(read, readers), timer.pool(write, writers)}
	store.Through(pools[0], pools[1])
	t.Cleanup(func() {
		for _, p := range pools {
			p.Close()
		}
		store.Through(read, write)
	})
	return timer
}

// backends are the processes of the server that answer us.
func backends(t *testing.T, db *sql.DB) (pids []int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
