package ecr

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/transship/transship/providers"
)

// caps is what ECR's documentation says of it.
func caps() providers.Caps {
	return providers.Caps{
		Catalog: providers.Yes, BulkDigests: true, PushTimes: true, Subjects: true,
		// A layer cannot be downloaded, nor mounted, before an image names it.
		MountNeedsManifest: true,
		// PATCH answers 201, its Range sticks at the first chunk, an empty PUT after
		// several fails (containers-roadmap#2831, tart#159 and #273).
		Chunks:    providers.No,
		Referrers: providers.Yes, SparseIndex: providers.No, Schema1: providers.Yes,
		Names: providers.Names{MinLength: 2, MaxLength: 256,
			Pattern: `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`,
			Says:    "small letters and digits, with single . _ or - between them, and / between the elements"},
		MaxManifest: 4 << 20,
		MaxBlob:     200e9, // since August 2026; 52,000 MiB before
		Quotas:      quotas,
	}
}

// quotas are the published ones, for each account and region; all can be raised.
var quotas = []providers.RateQuota{
	quota("PutImage", 10, providers.OpPutManifest),
	quota("InitiateLayerUpload", 100, providers.OpPostUpload),
	quota("CompleteLayerUpload", 100, providers.OpPutUpload),
	quota("UploadLayerPart", 500, providers.OpPatchUpload),
	quota("BatchCheckLayerAvailability", 1000, providers.OpHeadBlob),
	quota("BatchGetImage", 2000, providers.OpHeadManifest, providers.OpGetManifest),
	quota("GetDownloadUrlForLayer", 3000, providers.OpGetBlob),
	quota("GetAuthorizationToken", 500, providers.OpToken),
}

func quota(name string, perSecond float64, ops ...string) providers.RateQuota {
	return providers.RateQuota{Name: name, Ops: ops, N: perSecond, Per: time.Second,
		Shared: "account and region", Source: "Amazon ECR service quotas", Date: "2026-11", Adjustable: true}
}

// Caps is what ECR can do. Whether it mounts is a setting of the account, which is
// read once; where it is another account's, or may not be read, it is tried.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	if err != nil {
		return c, err
	}
	if r.plain(ctx) {
		c.BulkDigests, c.PushTimes, c.Subjects = false, false, false
		return c, nil
	}
	if c.Mount == providers.Maybe {
		mounts, err := r.mounting.get(ctx, r.mounts)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return c, cause
		}
		if err != nil {
			r.log.Debug("whether the account mounts blobs cannot be read; it is tried", "host", r.Host(), "err", err)
		} else if mounts != providers.Maybe {
			c.Mount = mounts
			c = c.From(providers.Account, providers.CapMount)
		}
	}
	return c, nil
}

// mounts reads the account's setting. The service tells the caller's own only.
func (r *Registry) mounts(ctx context.Context) (providers.Tri, error) {
	if r.host.Account != "" {
		ours, err := r.account(ctx)
		if err != nil || ours != r.host.Account {
			return providers.Maybe, err
		}
	}
	out, err := call(ctx, r, "read account setting", "", &ecr.GetAccountSettingInput{Name: aws.String("BLOB_MOUNTING")}, (*ecr.Client).GetAccountSetting)
	switch {
	case providers.KindOf(err) == providers.Denied && !r.session.isRefused():
		return providers.Maybe, nil // not ours to read, for good
	case err != nil:
		return providers.Maybe, err
	case out.Value != nil && *out.Value == "ENABLED":
		return providers.Yes, nil
	}
	return providers.No, nil
}
