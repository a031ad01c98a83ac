package ecrpublic

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// caps is what the documentation says of ECR Public.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, PushTimes: true,
		// Nothing says whether it mounts: it is tried. Layers are hidden until an image
		// names them, as at ECR.
		Mount: providers.Maybe, MountNeedsManifest: true,
		Chunks: providers.No, Referrers: providers.Yes,
		SparseIndex: providers.No, Schema1: providers.Maybe, Immutable: providers.No,
		Names: providers.Names{MinDepth: 2, MinLength: 4, MaxLength: 256,
			Pattern: `[a-z][a-z0-9]+(?:[._-][a-z0-9]+)*/(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`,
			Says:    "the account's alias, then the repository: small letters and digits, with single . _ or - between them"},
		MaxManifest: 4 << 20,
		MaxBlob:     10_000 << 20,
		Quotas:      quotas,
		Public:      true,
	}
}

// quotas are the published ones, for each account; all can be raised.
var quotas = []providers.RateQuota{
	quota("InitiateLayerUpload", 200, providers.OpPostUpload),
	quota("CompleteLayerUpload", 10, providers.OpPutUpload),
	quota("BatchCheckLayerAvailability", 200, providers.OpHeadBlob),
	quota("GetAuthorizationToken", 200, providers.OpToken),
}

func quota(name string, perSecond float64, ops ...string) providers.RateQuota {
	return providers.RateQuota{Name: name, Ops: ops, N: perSecond, Per: time.Second,
		Shared: "account", Source: "Amazon ECR Public service quotas", Date: "2026-11", Adjustable: true}
}

// Caps is what ECR Public can do for us: its lists in bulk are of our account's
// repositories, and are counted on only if nobody else's are asked for.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err != nil {
		return c, err
	}
	names, err := r.names(ctx)
	if err != nil {
		return c, err
	}
	if len(names) == 0 || !r.allOurs(names) {
		c.BulkDigests, c.PushTimes = false, false
		c = c.From(providers.Account, providers.CapRows)
	}
	if len(names) == 0 && c.Source(providers.CapCatalog) == providers.Documented {
		c.Catalog = providers.No
		c = c.From(providers.Account, providers.CapCatalog)
	}
	return c, nil
}
