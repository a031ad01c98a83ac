package ghcr

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// The limits of an upload (GitHub's documentation of the container registry).
const (
	maxLayer    = 10_000_000_000
	uploadLimit = 10 * time.Minute
)

// caps is what GitHub's documentation says of ghcr.io, and what is known of it.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, PushTimes: true,
		// The API lists every manifest, and nothing refers to one but by a fallback tag.
		Subjects:  true,
		Referrers: providers.No, Fallback: providers.Yes,
		Mount: providers.Maybe, SparseIndex: providers.Maybe, Schema1: providers.Maybe,
		// What has a Content-Range may have 4 MiB at most (ocx#237): a blob goes in one piece.
		Chunks: providers.No, UploadDeadline: uploadLimit, MaxBlob: maxLayer,
		Immutable: providers.No,
		Names: providers.Names{MinDepth: 2, MaxLength: 255,
			Pattern: `[a-z0-9]+(?:-[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+`,
			Says:    "owner/name, or owner/name/more: small letters and digits, with . _ __ or - between them"},
		Quotas: []providers.RateQuota{{Name: "API requests", Ops: []string{opPackages}, N: 5000, Per: time.Hour,
			Shared: "user", Source: "GitHub's REST API", Date: "2026-11", Adjustable: true}},
	}
}

// Caps is what ghcr.io can do; its rows have digests as long as the packages API is
// open to us.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err == nil && !r.listed(ctx, "") {
		c.BulkDigests = false
	}
	return c, err
}
