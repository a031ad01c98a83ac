package layout

import (
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

func TestConformance(t *testing.T) {
	registrytest.Conformance(t, registrytest.Harness{
		OpenStore: func(t *testing.T) providers.Registry { return open(t, t.TempDir()) },
	})
}
