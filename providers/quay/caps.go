package quay

import (
	"time"

	"github.com/transship/transship/providers"
)

// caps is what Quay's documentation and source say of it. It publishes no rates.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, TagDigests: true, TagTimes: true,
		Mount: providers.Yes, Chunks: providers.Yes,
		UntaggedLife: time.Hour, // PUSH_TEMP_TAG_EXPIRATION_SEC
		// Those of one's own may be too old for it: they say nothing of a subject, and
		// are asked then.
		Referrers: providers.Yes, Fallback: providers.Yes,
		SparseIndex: providers.Maybe, Schema1: providers.Yes,
		Immutable: providers.Maybe, // each tag by itself
		Names: providers.Names{MinDepth: 2, MaxLength: 255,
			Pattern: `[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)+`,
			Says:    "namespace/repository, of small letters, digits, . _ and -"},
		MaxManifest: 4 << 20,
		MaxBlob:     20 << 30, // MAXIMUM_LAYER_SIZE; quay.io has it as it is
	}
}
