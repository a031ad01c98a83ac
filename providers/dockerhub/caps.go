package dockerhub

import "github.com/transship/transship/providers"

// caps is what Docker's documentation says of Docker Hub, and what is known of it.
func caps() providers.Caps {
	return providers.Caps{
		// Lists have the digests of tags, and say nothing of manifests without one.
		Catalog: providers.Yes, TagDigests: true, TagTimes: true, CountsPulls: true,
		Mount: providers.Yes, Chunks: providers.Maybe,
		// It was seen to answer (2026-10), and statements differ: it is tried.
		Referrers: providers.Maybe, Fallback: providers.Yes,
		SparseIndex: providers.Maybe, Schema1: providers.Maybe,
		Immutable: providers.Maybe, // by rules of a repository
		Names: providers.Names{MinDepth: 2, MaxDepth: 2, MaxLength: 255,
			Pattern: `[a-z0-9]+(?:[_-]+[a-z0-9]+)*/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`,
			Says:    "namespace/name, two elements: small letters and digits, with . _ __ or - between them"},
	}
}
