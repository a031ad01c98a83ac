package gar

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// caps is what Artifact Registry's documentation says of it.
func caps(h Host) providers.Caps {
	names := providers.Names{MinDepth: 3, MaxLength: 255,
		Pattern: `(?:[a-z0-9.-]+/)?[a-z][a-z0-9-]*/(?:(?:(?:us|eu|asia)\.)?gcr\.io|[a-z](?:[a-z0-9-]*[a-z0-9])?)(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+`,
		Says:    "project/repository/image; a repository's name has small letters, digits and - only"}
	if h.GCR != "" {
		names = providers.Names{MinDepth: 2, MaxLength: 255, Says: "project/image"}
	}
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, PushTimes: true,
		// "Chunked uploads are not supported" (Docker API reference); a second PATCH fails.
		Chunks:    providers.No,
		Referrers: providers.Yes, Names: names,
		MaxManifest: 4 << 20,
		MaxBlob:     9_900_000_000, // in one request, and there is but one
		Quotas:      quotas,
	}
}

// quotas are the published ones; all can be raised. Every request counts, of the
// registry as of the API.
var quotas = []providers.RateQuota{
	quota("requests", 60_000, providers.AnyOp),
	quota("writes", 18_000, providers.WriteOps),
}

func quota(name string, perMinute float64, ops ...string) providers.RateQuota {
	return providers.RateQuota{Name: name, Ops: ops, N: perMinute, Per: time.Minute, Prefix: 1,
		Shared: "project and location", Source: "Artifact Registry quotas and limits", Date: "2026-11", Adjustable: true}
}

// Caps is what Artifact Registry can do. Where we may not use its API, repositories
// cannot be listed.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err == nil && r.plain(ctx) {
		c.Catalog = providers.No
	}
	return c, err
}
