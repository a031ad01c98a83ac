package providers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The operations that are counted toward a [RateQuota], and by which requests are
// told apart in figures. A cloud's own API has operations beside them, by its
// own names ("DescribeImages").
const (
	OpPing           = "ping"
	OpToken          = "token"
	OpCatalog        = "catalog"
	OpTags           = "tags"
	OpReferrers      = "referrers"
	OpHeadManifest   = "head manifest"
	OpGetManifest    = "get manifest"
	OpPutManifest    = "put manifest"
	OpHeadBlob       = "stat blob"
	OpGetBlob        = "get blob"
	OpPostUpload     = "post upload" // and every mount
	OpGetUpload      = "get upload"
	OpPatchUpload    = "patch upload"
	OpPutUpload      = "put upload"
	OpDeleteUpload   = "delete upload"
	OpDeleteManifest = "delete manifest"
	OpRedirect       = "redirect" // what a read is led on to, at the same host
)

// Groups of operations, for RateQuota.Ops.
const (
	AnyOp    = "*"      // every request
	ReadOps  = "reads"  // GET and HEAD, without tokens and pings
	WriteOps = "writes" // POST, PATCH and PUT
)

// A RateQuota is a bound on requests that a host publishes, as data: of the
// operations it names at most N begin in any Per.
type RateQuota struct {
	Name string        `json:"name"` // as the host calls it: "PutImage requests"
	Ops  []string      `json:"ops"`  // what counts: the operations above, or a group
	N    float64       `json:"n"`
	Per  time.Duration `json:"per"` // nanoseconds

	// Prefix is how many leading elements of a repository's path share the quota
	// with each other: 0 is all repositories of the host, 1 those of a project.
	Prefix int `json:"prefix,omitempty"`
	// Shared says with whom, in the host's words: "account and region".
	Shared string `json:"shared,omitempty"`
	// Where and when the figure was read, and whether the host raises it.
	Source     string `json:"source,omitempty"`
	Date       string `json:"date,omitempty"` // 2026-11
	Adjustable bool   `json:"adjustable,omitempty"`
	Stated     bool   `json:"stated,omitempty"` // the policy's own figure, used in full
}

// Counts reports whether an operation counts toward the quota.
func (q RateQuota) Counts(op string) bool {
	for _, o := range q.Ops {
		if o == op || o == AnyOp || o == ReadOps && reads(op) || o == WriteOps && writes(op) {
			return true
		}
	}
	return false
}

func reads(op string) bool {
	switch op {
	case OpCatalog, OpTags, OpReferrers, OpHeadBlob, OpRedirect:
		return true
	}
	return strings.HasPrefix(op, "get ") || strings.HasPrefix(op, "head ")
}

func writes(op string) bool {
	return strings.HasPrefix(op, "put ") || strings.HasPrefix(op, "post ") || strings.HasPrefix(op, "patch ")
}

// Key names those that share the quota with repo: the leading elements of its path.
func (q RateQuota) Key(repo string) string {
	parts := strings.SplitN(repo, "/", q.Prefix+1)
	return strings.Join(parts[:min(q.Prefix, len(parts))], "/")
}

// A Rate is N in any Per.
type Rate struct {
	N   float64
	Per time.Duration
}

// StateQuotas lays what the policy states, by the quotas' names, over those that
// a host publishes: it is an error to state one that is not published.
func StateQuotas(published []RateQuota, stated map[string]Rate) ([]RateQuota, error) {
	all := slices.Clone(published)
	for _, name := range slices.Sorted(maps.Keys(stated)) {
		i := slices.IndexFunc(all, func(q RateQuota) bool { return q.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no quota %q is known of this host; %s", name, quotaNames(published))
		}
		all[i].N, all[i].Per, all[i].Stated = stated[name].N, stated[name].Per, true
	}
	return all, nil
}

func quotaNames(published []RateQuota) string {
	var names []string
	for _, q := range published {
		names = append(names, q.Name)
	}
	if len(names) == 0 {
		return "it publishes none: use limits.requests"
	}
	return "it has " + strings.Join(names, ", ")
}
