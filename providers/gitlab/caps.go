package gitlab

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// levels are the path elements that an image may have below its project.
const levels = 2

// caps is what GitLab's documentation says of its registry.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, TagTimes: true, Subjects: true,
		Mount: providers.Yes, Chunks: providers.Yes,
		// There is no referrers API, and a fallback tag is read as the digest that it
		// spells (oras-go#1396): what is put under one is not found again.
		Referrers: providers.No, Fallback: providers.No,
		SparseIndex: providers.No, Schema1: providers.No,
		// A project can have rules that protect tags, and has none by itself.
		Immutable: providers.Maybe,
		// Groups nest twenty deep; then come the project and the image.
		Names: providers.Names{MinDepth: 2, MaxDepth: 20 + 1 + levels, MaxLength: 255,
			Pattern: `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`,
			Says:    "group/project in small letters, and at most two elements more below the project"},
		MaxManifest: 4 << 20,
	}
}

// bareFor is how long a registry without an API of its own is not asked for it again.
const bareFor = 24 * time.Hour

// Caps is what GitLab's registry can do. Whether it has its own API is told by the
// first repository that is listed.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err != nil {
		return c, err
	}
	if r.isBare() {
		c.BulkDigests, c.TagTimes, c.Subjects = false, false, false
		c = c.From(providers.Tried, providers.CapRows)
	}
	if r.api == nil && c.Source(providers.CapCatalog) == providers.Documented {
		c.Catalog = providers.No
	}
	return c, nil
}

// isBare reports whether the registry is known to have no API of its own: its
// metadata is in object storage still, as before GitLab 17.3.
func (r *Registry) isBare() bool { return time.Now().Unix() < r.bare.Load() }

func (r *Registry) isKnownBare() { r.bare.Store(time.Now().Add(bareFor).Unix()) }
