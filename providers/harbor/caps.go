package harbor

import "github.com/transship/transship/providers"

// caps is what Harbor's documentation and source say of it. It publishes no rates.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, TagDigests: true, PushTimes: true, TagTimes: true,
		Mount: providers.Yes, Chunks: providers.Yes,
		Referrers: providers.Maybe, // since 2.11
		Fallback:  providers.Yes, SparseIndex: providers.Maybe, Schema1: providers.Maybe,
		Immutable: providers.Maybe, // by rules of each project
		Names: providers.Names{MinDepth: 2, MaxLength: 255,
			Pattern: `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+`,
			Says:    "project/repository, of small letters and digits with . _ or - between them"},
		MaxManifest: 4 << 20,
	}
}
