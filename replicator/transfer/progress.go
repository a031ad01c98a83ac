package transfer

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// Progress is told live figures. Calls come from many goroutines, often, and
// must be cheap: an atomic add.
type Progress interface {
	Begin(plans []plan.Plan)                           // a Run starts with these
	Start(target plan.Place, img *plan.Image)          // an image is being brought
	End(target plan.Place, img *plan.Image, err error) // it has come to its end
	Read(from plan.Place, bytes int64)                 // blob bytes have come from a registry
	Sent(target plan.Place, bytes int64)               // blob bytes have gone to a target
	Saved(target plan.Place, bytes int64)              // did not have to go: mounted or there already
	Retry(target plan.Place, why string)               // a step is done again
}

type silent struct{}

func (silent) Begin([]plan.Plan)                  {}
func (silent) Start(plan.Place, *plan.Image)      {}
func (silent) End(plan.Place, *plan.Image, error) {}
func (silent) Read(plan.Place, int64)             {}
func (silent) Sent(plan.Place, int64)             {}
func (silent) Saved(plan.Place, int64)            {}
func (silent) Retry(plan.Place, string)           {}
func (silent) Image(context.Context, Result)      {}

// forgetful is a Memory that remembers nothing.
type forgetful struct{}

func (forgetful) Put(context.Context, state.Record) error { return nil }
func (forgetful) Verified(context.Context, state.Repo, time.Time, []string) error {
	return nil
}
func (forgetful) Forget(context.Context, state.Repo, []v1.Hash) error { return nil }
func (forgetful) Learned(context.Context, string, time.Time) (map[string]bool, error) {
	return nil, nil
}
func (forgetful) Learn(context.Context, string, string, bool, time.Time) error { return nil }
func (forgetful) Refusals(context.Context, string, time.Time) ([]state.Refusal, error) {
	return nil, nil
}
func (forgetful) Refuse(context.Context, string, state.Refusal) error     { return nil }
func (forgetful) Uploads(context.Context, string) ([]state.Upload, error) { return nil, nil }
func (forgetful) SaveUpload(context.Context, state.Upload) error          { return nil }
func (forgetful) DropUpload(context.Context, state.Repo, v1.Hash) error   { return nil }
