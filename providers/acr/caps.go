package acr

import (
	"time"

	"github.com/transship/transship/providers"
)

// caps is what ACR's documentation says of it.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, PushTimes: true, TagTimes: true, Changes: true,
		Mount: providers.Yes, Chunks: providers.Yes,
		// Registries that are encrypted with a customer's key answer 404: it is tried.
		Referrers: providers.Maybe, Fallback: providers.Yes,
		SparseIndex: providers.Maybe, Schema1: providers.Yes,
		// Each tag can be locked, and none is by itself.
		Immutable: providers.Maybe,
		Names: providers.Names{MinLength: 2, MaxLength: 256,
			Pattern: `(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`,
			Says:    "small letters and digits, with . _ __ or - between them, and / between the elements"},
		MaxManifest: 4 << 20,
		MaxBlob:     200 << 30,
		Quotas:      quotas,
	}
}

// quotas are the published ones of Basic and Standard, requests a minute: half of
// what the registry takes, as one identity has no more of reads and writes. Premium
// has twice as much, which the policy has to say.
var quotas = []providers.RateQuota{
	quota("ReadOps", 5_000, "identity", providers.ReadOps),
	quota("WriteOps", 1_000, "identity", providers.WriteOps),
	quota("ListReferrers", 500, "registry", providers.OpReferrers),
	quota("OAuth", 10_000, "registry", providers.OpToken),
}

func quota(name string, perMinute float64, shared string, ops ...string) providers.RateQuota {
	return providers.RateQuota{Name: name, Ops: ops, N: perMinute, Per: time.Minute,
		Shared: shared, Source: "Azure Container Registry service tiers, Basic and Standard", Date: "2026-03", Adjustable: true}
}
