package harbor

import (
	"context"
	"regexp"
	"strconv"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// caps is what Harbor's documentation and source say of it. It publishes no rates.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, TagDigests: true, PushTimes: true, TagTimes: true,
		Mount: providers.Yes, Chunks: providers.Yes,
		Referrers: providers.Maybe, // since 2.11; see Caps
		Fallback:  providers.Yes, SparseIndex: providers.Maybe, Schema1: providers.Maybe,
		Immutable: providers.Maybe, // by rules of each project
		Names: providers.Names{MinDepth: 2, MaxLength: 255,
			Pattern: `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+`,
			Says:    "project/repository, of small letters and digits with . _ or - between them"},
		MaxManifest: 4 << 20,
	}
}

// version is that of a Harbor, such as v2.11.0-70b7c2e1.
var version = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})\.`)

// Caps is what this Harbor can do. Its version, which is asked for once, tells
// whether it has the referrers API; where it does not tell, that is tried.
// Nobody is told.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err != nil || c.Referrers != providers.Maybe || r.nobody(ctx) {
		return c, err
	}
	if c.Referrers = r.hasReferrers(ctx); c.Referrers != providers.Maybe {
		c = c.From(providers.Account, providers.CapReferrers)
	}
	return c, context.Cause(ctx)
}

// askTime is how long the version is waited for: without it, it is tried.
const askTime = 10 * time.Second

func (r *Registry) hasReferrers(ctx context.Context) providers.Tri {
	r.mu.Lock()
	has, asked := r.referrers, r.asked
	r.mu.Unlock()
	if asked {
		return has
	}
	var info struct {
		Version string `json:"harbor_version"`
	}
	within, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := r.api.Ask(within, oci.Question{Op: "read version", Count: "system info", Path: "/api/v2.0/systeminfo"}, &info)
	if err != nil && (providers.KindOf(err).Retryable() || within.Err() != nil) {
		return providers.Maybe
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.referrers = true, referrersOf(info.Version)
	return r.referrers
}

// referrersOf says whether a version has the referrers API: since 2.11.
func referrersOf(text string) providers.Tri {
	m := version.FindStringSubmatch(text)
	if m == nil {
		return providers.Maybe
	}
	major, _ := strconv.Atoi(m[1]) // digits
	minor, _ := strconv.Atoi(m[2])
	if major > 2 || major == 2 && minor >= 11 {
		return providers.Yes
	}
	return providers.No
}
