package acr

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// dated is a registry with n tags in a repository, one pushed each minute: "t0000"
// is the oldest.
func dated(t *testing.T, n int) (*acrtest.Server, time.Time) {
	t.Helper()
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		m := content.Image(fmt.Sprint(i), nil)
		trial.Load(t, s, "app", m, fmt.Sprintf("t%04d", i))
		s.SetPushed("app", m.Digest, first.Add(time.Duration(i)*time.Minute))
		s.SetTagged("app", fmt.Sprintf("t%04d", i), first.Add(time.Duration(i)*time.Minute))
	}
	return s, first
}

// TestChanged: the list ends at the time that is asked for, newest first, whatever
// the list's length, and the newest row is told in any case.
func TestChanged(t *testing.T) {
	s, first := dated(t, 2500)
	moved := first.Add(3000 * time.Minute)
	trial.Load(t, s, "app", content.Image("moved", nil), "t0003")
	s.SetTagged("app", "t0003", moved)
	for name, tt := range map[string]struct {
		what  providers.Changing
		since time.Time
		rows  int
		calls int64
	}{
		"nothing since":      {providers.ChangedTags, moved.Add(time.Hour), 1, 1},
		"in the same moment": {providers.ChangedTags, moved, 1, 1},
		"the last three":     {providers.ChangedTags, first.Add(2498 * time.Minute), 3, 1},
		"two pages":          {providers.ChangedTags, first.Add(1000 * time.Minute), 1501, 2},
		"all":                {providers.ChangedTags, time.Time{}, 2500, 3},
		"a manifest":         {providers.ChangedManifests, first.Add(2499 * time.Minute), 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s.ResetCalls()
			rows, err := trial.Collect(open(t, s, app(s)).Changed(t.Context(), "app", tt.what, tt.since))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(rows, func(a, b providers.Row) int { return b.Changed.Compare(a.Changed) }) {
				t.Error("not the newest first")
			}
			if n := s.Calls()[tt.what.String()]; len(rows) != tt.rows || n != tt.calls {
				t.Errorf("%d rows by %d calls, want %d by %d", len(rows), n, tt.rows, tt.calls)
			}
			if tt.what == providers.ChangedTags && (rows[0].Tags[0] != "t0003" || !rows[0].Tagged.Equal(moved)) {
				t.Errorf("the newest is %+v", rows[0])
			}
		})
	}
}

// TestChangedOutOfOrder: a registry that lists by name whatever it is asked for is
// found out at its first page, before anything of it is believed.
func TestChangedOutOfOrder(t *testing.T) {
	s, first := dated(t, 5)
	s.Configure(func(q *acrtest.Quirks) { q.IgnoreOrder = true })
	for _, what := range []providers.Changing{providers.ChangedTags, providers.ChangedManifests} {
		rows, err := trial.Collect(open(t, s, app(s)).Changed(t.Context(), "app", what, first))
		if len(rows) > 0 || providers.KindOf(err) != providers.Unsupported {
			t.Errorf("%d rows of %s, and %v", len(rows), what, err)
		}
	}
}

// TestChangedNowhere: a repository that is not there is told as such.
func TestChangedNowhere(t *testing.T) {
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	rows, err := trial.Collect(open(t, s, app(s)).Changed(t.Context(), "none", providers.ChangedTags, time.Time{}))
	if len(rows) > 0 || providers.KindOf(err) != providers.NotFound {
		t.Errorf("%d rows, and %v", len(rows), err)
	}
}

// TestManyTagsAreTagged: a manifest with many tags is in no row without a tag, as
// what has none is read, and may be wanted for having none; its rows tell its type.
func TestManyTagsAreTagged(t *testing.T) {
	unset(t)
	s := acrtest.New(t, acrtest.Options{})
	many := content.Image("many", nil)
	var tags []string
	for i := range 12 {
		tags = append(tags, fmt.Sprint("v", i))
	}
	trial.Load(t, s, "app", many, tags...)
	rows, err := trial.Collect(open(t, s, app(s)).Rows(t.Context(), "app"))
	if err != nil || len(rows) != 12 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	for _, row := range rows {
		if len(row.Tags) != 1 || row.Digest != many.Digest || row.MediaType != many.MediaType || row.Pushed.IsZero() || row.Tagged.IsZero() {
			t.Errorf("row %+v", row)
		}
	}
}
