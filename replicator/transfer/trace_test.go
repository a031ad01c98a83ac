package transfer

import (
	"testing"

	"github.com/transship/transship/replicator/plan"
)

// TestUntracedIsFree holds that who wants no traces pays nothing for them.
func TestUntracedIsFree(t *testing.T) {
	var tracer Tracer = Untraced{}
	ctx, img, target := t.Context(), &plan.Image{}, plan.Place{Registry: "dst", Repo: "app"}
	if n := testing.AllocsPerRun(100, func() {
		ctx, end := tracer.Image(ctx, target, img)
		_, endBlob := tracer.Blob(ctx, target, plan.Blob{})
		endBlob(plan.Upload, nil)
		end(Result{Target: target})
	}); n != 0 {
		t.Errorf("%v allocations an image", n)
	}
}
