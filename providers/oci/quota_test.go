package oci

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/transship/transship/providers"
)

// A quota holds up the requests that it counts and no others, and what the policy
// states takes the place of what is published.
func TestQuotas(t *testing.T) {
	s := server(t, nil)
	published := []providers.RateQuota{
		{Name: "manifests", Ops: []string{providers.OpPutManifest}, N: 1, Per: time.Hour},
		{Name: "reads", Ops: []string{providers.ReadOps}, N: 1, Per: time.Hour},
	}
	r := open(t, s, func(o *Options) {
		o.Caps.Quotas = published
		o.Quotas = map[string]providers.Rate{"reads": {N: 1000, Per: time.Second}}
	})
	m := image("app")
	if err := copyImage(t.Context(), r, "app", "v1", m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it would have to wait for more than an hour
	defer cancel()
	if _, err := r.PutManifest(ctx, "app", "v2", m.Manifest, providers.PutOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second manifest within the hour: %v", err)
	}
	wantReadable(t, r, m)
	if _, err := r.Put(ctx, "other", m.Blobs[0].Descriptor, m.Blobs[0].Content, providers.UploadOptions{}); err != nil {
		t.Errorf("a blob: %v", err)
	}
	if caps, err := r.Caps(t.Context()); err != nil || !caps.Quotas[1].Stated || caps.Quotas[1].N != 1000 || published[1].Stated {
		t.Errorf("caps %+v, %v", caps.Quotas, err)
	}
	_, err := New(Options{Host: "registry.example.com", Quotas: map[string]providers.Rate{"reads": {N: 1, Per: time.Second}}})
	wantKind(t, err, providers.Invalid)
}
