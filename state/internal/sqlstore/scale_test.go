package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres/pgtest"
)

// A question is one call that a pass makes, about a repository, with the digests of
// 500 of its own blobs.
type question struct {
	name string
	ask  func(ctx context.Context, repo, source state.Repo, own []v1.Hash) error
}

func (h *heap) questions(base v1.Hash) []question {
	s := h.store
	now := time.Unix(1_800_000_000, 0)
	expect := func(got, want int, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("%d rows, want %d", got, want)
		}
		return err
	}
	present := func(list []v1.Hash) (p []state.Present) {
		for _, d := range list {
			p = append(p, state.Present{Digest: d, Size: 1000})
		}
		return p
	}
	fresh := func() (list []v1.Hash) {
		for range 500 {
			list = append(list, v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%016x%016x%016x%016x", h.rand.Uint64(), h.rand.Uint64(), h.rand.Uint64(), h.rand.Uint64())})
		}
		return list
	}
	names := func() (list []string) {
		for i := range 500 {
			list = append(list, fmt.Sprint("v1.", i))
		}
		return list
	}()
	return []question{
		{"target tags of a repository (1,000)", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			n := 0
			for _, err := range s.TargetTags(ctx, repo) {
				if err != nil {
					return err
				}
				n++
			}
			return expect(n, heapTags, nil)
		}},
		{"source tags of a repository (1,000)", func(ctx context.Context, _, source state.Repo, _ []v1.Hash) error {
			n := 0
			for _, err := range s.SourceTags(ctx, source) {
				if err != nil {
					return err
				}
				n++
			}
			return expect(n, heapTags, nil)
		}},
		{"has, 500 there", func(ctx context.Context, repo, _ state.Repo, own []v1.Hash) error {
			held, err := s.Has(ctx, repo, own)
			return expect(len(held), len(own), err)
		}},
		{"has, 500 unknown", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			held, err := s.Has(ctx, repo, fresh())
			return expect(len(held), 0, err)
		}},
		{"locate, 500 in one repository", func(ctx context.Context, _, _ state.Repo, own []v1.Hash) error {
			where, err := s.Locate(ctx, heapHost, own, 4)
			return expect(len(where), len(own), err)
		}},
		{"locate, a layer of all repositories", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			where, err := s.Locate(ctx, heapHost, []v1.Hash{base}, 4)
			return expect(len(where[base]), min(4, h.repos), err)
		}},
		{"checked, 500", func(ctx context.Context, _, source state.Repo, own []v1.Hash) error {
			at, err := s.Checked(ctx, source, own)
			return expect(len(at), (len(own)+2)/3, err)
		}},
		{"learned of a host", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			_, err := s.Learned(ctx, repo.Host, time.Time{})
			return err
		}},
		{"set checked, 500", func(ctx context.Context, _, source state.Repo, own []v1.Hash) error {
			return s.SetChecked(ctx, source, now, own)
		}},
		{"verified, 500 tags", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			return s.Verified(ctx, repo, now, names)
		}},
		{"put an image: 1 tag, 5 rows", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			return s.Put(ctx, state.Record{Repo: repo, Tags: []state.TargetTag{{Name: "new", Rule: "all", Source: base, Digest: base}}, Present: present(fresh()[:5])})
		}},
		{"put an image: 1 tag, 500 new rows", func(ctx context.Context, repo, _ state.Repo, _ []v1.Hash) error {
			return s.Put(ctx, state.Record{Repo: repo, Tags: []state.TargetTag{{Name: "new", Rule: "all", Source: base, Digest: base}}, Present: present(fresh())})
		}},
		{"put 500 rows that are known", func(ctx context.Context, repo, _ state.Repo, own []v1.Hash) error {
			return s.Put(ctx, state.Record{Repo: repo, Present: present(own)})
		}},
		{"set standing", func(ctx context.Context, repo, source state.Repo, _ []v1.Hash) error {
			return s.SetStanding(ctx, state.Standing{Rule: "all", Source: source, Target: repo, Surveyed: now}, nil)
		}},
		{"standings of a rule", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			_, err := s.Standings(ctx, "all")
			return err
		}},
		{"subjects, 500", func(ctx context.Context, _, source state.Repo, own []v1.Hash) error {
			_, err := s.Subjects(ctx, source, own)
			return err
		}},
		{"referrers of a repository (100)", func(ctx context.Context, _, source state.Repo, _ []v1.Hash) error {
			known, err := s.Referring(ctx, source)
			return expect(len(known), heapTags/10, err)
		}},
		{"see 500 source tags", func(ctx context.Context, _, source state.Repo, own []v1.Hash) error {
			tags := make([]state.SourceTag, len(own))
			for i, d := range own {
				tags[i] = state.SourceTag{Name: names[i], Digest: d}
			}
			return s.SeeSource(ctx, source, now, tags)
		}},
		{"a pass of 100 jobs: begin, ask", func(ctx context.Context, _, source state.Repo, _ []v1.Hash) error {
			var keys []string
			var asks []state.Ask
			for i := range 100 {
				keys = append(keys, fmt.Sprintf("run/%s.%d", source.Name, i))
				asks = append(asks, state.Ask{Key: keys[i], Turn: int64(i) * state.TurnStep})
			}
			if _, err := s.BeginJobs(ctx, state.Pass{Rule: "all", Started: now}, keys); err != nil {
				return err
			}
			return s.Ask(ctx, asks...)
		}},
		{"a job: take, tell, end", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			c, err := s.Take(ctx)
			if err != nil || c == nil {
				return fmt.Errorf("took %v: %w", c, err)
			}
			if _, err := s.EndJob(ctx, state.JobRun{Key: c.Key, Taken: c.Taken, Ended: now, Outcome: state.Succeeded}); err != nil {
				return err
			}
			return s.Done(ctx, c, nil, 0)
		}},
		{"when is the next job due", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			_, err := s.NextDue(ctx)
			return err
		}},
		{"the last 20 passes", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			list, err := s.Passes(ctx, "", 20)
			return expect(len(list), 20, err)
		}},
		{"the first 20 items", func(ctx context.Context, _, _ state.Repo, _ []v1.Hash) error {
			_, err := s.Items(ctx, "", 20) // some standings have been set anew without
			return err
		}},
		{"forget 500", func(ctx context.Context, repo, _ state.Repo, own []v1.Hash) error {
			return s.Forget(ctx, repo, own)
		}},
	}
}

// ask asks each question times times about repositories at random, and returns
// how long that took, in order.
func (h *heap) ask(t *testing.T, q question, times int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for range times {
		n := 1 + h.rand.IntN(h.repos)
		own := h.digests(t, h.repos*heapTags+heapOwn*(n-1)+1, 500)
		repo := state.Repo{Host: heapHost, Name: fmt.Sprint("mirror/team/service-", n)}
		source := state.Repo{Host: "source.test", Name: fmt.Sprint("team/service-", n)}
		whole := h.timer.whole(q.name)
		start := time.Now()
		err := q.ask(t.Context(), repo, source, own)
		took = append(took, time.Since(start))
		whole()
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
		}
	}
	slices.Sort(took)
	return took
}

// The questions of a pass to states of several sizes, ten million locations at
// most: each is answered rightly, and the state grows by a constant for each
// location. It prints what docs/scale.md has; by default the sizes are small.
func TestHeap(t *testing.T) {
	sizes, times := []int{7, 14}, 2
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		sizes, times = []int{10, 100, 1000}, 200
	}
	t.Run("sqlite", func(t *testing.T) { heapTable(t, sizes, times, sqliteHeap) })
	t.Run("postgres", func(t *testing.T) {
		c := pgtest.Start(t)
		heapTable(t, sizes, times, func(t *testing.T, repos int) *heap { return postgresHeap(t, c, repos) })
	})
}

func heapTable(t *testing.T, sizes []int, times int, open func(t *testing.T, repos int) *heap) {
	table := map[string]string{}
	var order []string
	var bytes, heads []string
	var before int64
	for i, repos := range sizes {
		start := time.Now()
		h := open(t, repos)
		size := h.size()
		heads = append(heads, fmt.Sprintf("%d locations, loaded in %.0f s", repos*(heapOwn+heapPool*heapTags), time.Since(start).Seconds()))
		bytes = append(bytes, fmt.Sprintf("%.1f MB", float64(size)/1e6))
		if i > 0 {
			each := float64(size-before) / float64((repos-sizes[i-1])*10*heapTags)
			t.Logf("%d repositories: %.0f bytes more for each location more, with its part of blobs and tags", repos, each)
			if each > 300 {
				t.Errorf("a location costs %.0f bytes of state, with its part of blobs and tags", each)
			}
		}
		before = size
		for _, q := range h.questions(h.digests(t, 1, 1)[0]) {
			took := h.ask(t, q, times)
			if i == 0 {
				order = append(order, q.name)
			}
			table[q.name] += fmt.Sprintf(" %.2f / %.2f |", ms(took[len(took)/2]), ms(took[len(took)*99/100]))
		}
		h.timer.tell(t)
	}
	t.Logf("| p50 / p99 in ms | %s |", strings.Join(heads, " | "))
	t.Logf("| size | %s |", strings.Join(bytes, " | "))
	for _, name := range order {
		t.Logf("| %s |%s", name, table[name])
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
