package replicator

import (
	"net/http"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/transfer"
)

// What a survey may not read is told by its kind and its side, as what a transfer
// fails at is.
func TestSurveyFailuresSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		name, server string
		class        registrytest.Class
		side, tag    string
	}{
		{"a target's list", "one", registrytest.Tags, transfer.Target, "*"},
		{"a manifest at the source", "src", registrytest.ManifestGet, transfer.Source, "v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "rules:\n  - {name: all, from: {registry: src}, to: [{registry: one}]}\n", nil)
			r.load("app", content.Image("app", nil), "v1")
			r.servers[tt.server].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
				if class != tt.class {
					return nil
				}
				return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "not for you"}
			})
			reports, _ := r.pass()
			if len(reports) != 1 || len(reports[0].Failures) != 1 {
				t.Fatalf("%+v", reports)
			}
			f := reports[0].Failures[0]
			if f.Kind != providers.Denied || f.Side != tt.side || f.Tag != tt.tag || !strings.Contains(f.Reason, "not for you") {
				t.Errorf("%+v", f)
			}
		})
	}
}
