package statetest

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

// A Backend makes an empty place for the state of one test, and returns what opens
// the state there: anew each time, after the one before was closed.
type Backend func(t *testing.T) (open func() state.Store)

// A test is one of the suite, on a state of its own.
type test struct {
	name string
	test func(t *testing.T, s state.Store)
}

var (
	// facts is what is known of registries.
	facts = []test{
		{"SourceTags", testSourceTags},
		{"SeeSource", testSeeSource},
		{"TargetTags", testTargetTags},
		{"PutIsWhole", testPutIsWhole},
		{"Verified", testVerified},
		{"Pages", testPages},
		{"SlowReader", testSlowReader},
		{"Locate", testLocate},
		{"Has", testHas},
		{"ManyDigests", testManyDigests},
		{"Digests", testDigests},
		{"Checked", testChecked},
		{"Subjects", testSubjects},
		{"Referring", testReferring},
		{"Marks", testMarks},
		{"Learned", testLearned},
		{"Refusals", testRefusals},
		{"Uploads", testUploads},
	}
	// work is what is to be done.
	work = []test{
		{"Ask", testAsk},
		{"Depth", testDepth},
		{"TakeOrder", testTakeOrder},
		{"NotBefore", testNotBefore},
		{"Hints", testHints},
		{"AskDuringRun", testAskDuringRun},
		{"Retry", testRetry},
		{"Release", testRelease},
		{"Cancel", testCancel},
		{"EndedClaim", testEndedClaim},
		{"TakeOnce", testTakeOnce},
		{"Turns", testTurns},
		{"CauseAndDetail", testCauseAndDetail},
		{"NextDue", testNextDue},
		{"Tick", testTick},
		{"JobPasses", testJobPasses},
	}
	// history is what was done.
	history = []test{
		{"Passes", testPasses},
		{"Prune", testPrune},
		{"PruneWork", testPruneWork},
		{"Standings", testStandings},
		{"ItemsSince", testItemsSince},
	}
	// contract is what all methods have in common.
	contract = []test{
		{"BadNames", testBadNames},
		{"Prose", testProse},
		{"Concurrent", testConcurrent},
		{"Ended", testEndedContext},
		{"Closed", testClosed},
	}
)

// Run runs the suite on a backend.
func Run(t *testing.T, b Backend) {
	for _, tt := range slices.Concat(facts, work, history, contract) {
		t.Run(tt.name, func(t *testing.T) {
			s := b(t)()
			t.Cleanup(func() { check(t, s.Close()) })
			tt.test(t, s)
		})
	}
	t.Run("Reopen", func(t *testing.T) { testReopen(t, b(t)) })
	t.Run("ClaimsEndWithClose", func(t *testing.T) { testClaimsEndWithClose(t, b(t)) })
	t.Run("JobPassSurvives", func(t *testing.T) { testJobPassSurvives(t, b(t)) })
	t.Run("Model", func(t *testing.T) { testModel(t, b) })
	t.Run("WorkModel", func(t *testing.T) { testWorkModel(t, b) })
}

// check ends the test on an error that should not be.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must unwraps a result that should have no error: must(s.Method(ctx))(t), as Go
// cannot spread two results beside another argument.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\n got %+v\nwant %+v", what, got, want)
	}
}

// all reads an iterator to its end.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for v, err := range seq {
		check(t, err)
		list = append(list, v)
	}
	return list
}

// hash is a digest by a name that can be read.
func hash(name string) v1.Hash {
	sum := sha256.Sum256([]byte(name))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// at is a time by a number, to the microsecond.
func at(n int) time.Time {
	return time.Date(2026, 11, 20, 12, 0, n, 123456000, time.UTC)
}

func repo(name string) state.Repo { return state.Repo{Host: "registry.example", Name: name} }
