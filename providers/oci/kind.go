package oci

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
)

// Operations whose answers mean something of their own.
const (
	opPutManifest = "put manifest"
	opToken       = "sign in"
	opUpload      = "upload blob"
	opReferrers   = "list referrers"
	opMount       = "mount blob"
	opTry         = "try to push"
)

// texts are the answers that only their words tell apart. Order matters.
var texts = []struct {
	says string // in lower case
	kind providers.Kind
	hint string
}{
	// Google Artifact Registry: MANIFEST_INVALID "cannot update tag X. The
	// repository has enabled tag immutability".
	{"cannot update tag", providers.Conflict, hintImmutable},
	{"immutab", providers.Conflict, hintImmutable},
	// Google Artifact Registry answers so for a repository that is not there.
	{"(or it may not exist)", providers.Denied, "create the repository first, or grant the permission that the message names"},
	// Harbor's quotas, and disks of plain registries.
	{"exceed the configured upper limit", providers.Quota, hintQuota},
	{"quota", providers.Quota, hintQuota},
	{"no space left on device", providers.Quota, hintQuota},
	// A front end that speaks TLS, such as Go's and nginx's.
	{"sent an http request to an https server", providers.Invalid, hintTLS},
	{"plain http request was sent to https port", providers.Invalid, hintTLS},
}

const (
	hintImmutable = "the tag is immutable at this registry: write under another tag, or allow it to move there"
	hintQuota     = "raise the quota, or free room at the registry"
	hintTLS       = "the host speaks TLS: remove plainHTTP"
	hintSignIn    = "check the credentials of this registry; they were refused"
	hintDenied    = "grant the identity of this registry the permission, or use another identity"
	hintLacks     = "the registry lacks what was sent to it: run transship check, and look at the registry's storage if it goes on"
	hintType      = "the registry takes no manifests of this type: have it take them (zot: http.compat: [docker2s2]), or push the image at the source as OCI"
	hintPush      = "grant the identity of this registry push, or use another identity"
)

// codes are the meanings of the registries' own codes (distribution-spec v1.1,
// "Error Codes", and what the clouds added).
var codes = map[string]providers.Kind{
	"TOOMANYREQUESTS":               providers.Throttled,
	"UNAVAILABLE":                   providers.Unavailable,
	"UNAUTHORIZED":                  providers.Denied,
	"DENIED":                        providers.Denied,
	"NAME_UNKNOWN":                  providers.NotFound,
	"MANIFEST_UNKNOWN":              providers.NotFound,
	"TAG_UNKNOWN":                   providers.NotFound,
	"BLOB_UNKNOWN":                  providers.NotFound,
	"BLOB_UPLOAD_UNKNOWN":           providers.NotFound,
	"NOT_FOUND":                     providers.NotFound,
	"MANIFEST_BLOB_UNKNOWN":         providers.Incomplete,
	"BLOB_UPLOAD_INVALID":           providers.Invalid,
	"SIZE_INVALID":                  providers.Invalid,
	"DIGEST_INVALID":                providers.Invalid,
	"NAME_INVALID":                  providers.Invalid,
	"MANIFEST_INVALID":              providers.Invalid,
	"MANIFEST_UNVERIFIED":           providers.Invalid,
	"RANGE_INVALID":                 providers.Invalid,
	"TAG_INVALID":                   providers.Invalid,
	"TAG_IMMUTABLE":                 providers.Conflict,
	"REGISTRY_DISALLOWED_OPERATION": providers.Conflict, // ACR: the tag or repository is locked
	"PRECONDITION":                  providers.Conflict, // Harbor: the tag is immutable
	"UNSUPPORTED":                   providers.Unsupported,
	"QUOTA_EXCEEDED":                providers.Quota,
	"LIMIT_EXCEEDED":                providers.Quota,
}

// putCodes are those that mean something else in answer to a manifest.
var putCodes = map[string]providers.Kind{
	"BLOB_UNKNOWN":     providers.Incomplete,
	"MANIFEST_UNKNOWN": providers.Incomplete, // a child of an index
	"TAG_INVALID":      providers.Conflict,   // ECR: "already exists … is immutable"
}

// statuses are the meanings of a status without a code that is known.
var statuses = map[int]providers.Kind{
	http.StatusUnauthorized:          providers.Denied,
	http.StatusPaymentRequired:       providers.Quota,
	http.StatusForbidden:             providers.Denied,
	http.StatusNotFound:              providers.NotFound,
	http.StatusMethodNotAllowed:      providers.Unsupported,
	http.StatusNotAcceptable:         providers.Unsupported,
	http.StatusRequestTimeout:        providers.Unavailable,
	http.StatusConflict:              providers.Conflict,
	http.StatusGone:                  providers.NotFound,
	http.StatusPreconditionFailed:    providers.Conflict,
	http.StatusRequestEntityTooLarge: providers.Invalid,
	http.StatusUnsupportedMediaType:  providers.Unsupported,
	http.StatusTooEarly:              providers.Unavailable,
	http.StatusTooManyRequests:       providers.Throttled,
	http.StatusNotImplemented:        providers.Unsupported,
	http.StatusInsufficientStorage:   providers.Quota,
}

// classify says what an answer to op means. A host that a read was redirected to
// (own is false) checks signed addresses, not identities: when it refuses, the
// registry is asked for another.
func classify(op string, a answer, own bool) (providers.Kind, string) {
	kind, hint := meaning(op, a)
	if !own && kind == providers.Denied {
		return providers.Unavailable, "check the clocks, and that this machine may reach the registry's storage host"
	}
	if hint == "" {
		hint = advice(op, kind, a)
	}
	return kind, hint
}

func meaning(op string, a answer) (providers.Kind, string) {
	if op == opToken && a.status >= 400 && a.status <= 403 {
		return providers.Denied, hintSignIn
	}
	if a.status == http.StatusUnauthorized {
		return providers.Denied, ""
	}
	if a.status == http.StatusTooManyRequests {
		return providers.Throttled, "" // whatever the code: some say DENIED
	}
	if a.status < 500 || a.status == http.StatusInsufficientStorage {
		words := strings.ToLower(a.message)
		for _, t := range texts {
			if strings.Contains(words, t.says) && a.status >= 400 {
				return t.kind, t.hint
			}
		}
	}
	if op == opPutManifest && a.status == http.StatusUnsupportedMediaType {
		return providers.Unsupported, hintType // zot says MANIFEST_INVALID beside
	}
	if kind, ok := putCodes[a.code]; ok && op == opPutManifest && a.status < 500 {
		return kind, ""
	}
	if kind, ok := codes[a.code]; ok && a.status < 500 {
		return kind, ""
	}
	if kind, ok := statuses[a.status]; ok {
		return kind, ""
	}
	switch {
	case a.status >= 500:
		return providers.Unavailable, ""
	case a.status >= 400:
		return providers.Invalid, ""
	case a.status >= 300:
		return providers.Invalid, "the host redirects: write the host that it leads to"
	}
	return providers.Invalid, hintHost // a success that this request cannot have
}

func advice(op string, kind providers.Kind, a answer) string {
	switch kind {
	case providers.Denied:
		if a.status == http.StatusUnauthorized {
			return hintSignIn
		}
		if writesTo(op) {
			return hintPush
		}
		return hintDenied
	case providers.Quota:
		return hintQuota
	case providers.Incomplete:
		return hintLacks
	case providers.Conflict:
		return hintImmutable
	case providers.NotFound:
		if a.code == "NAME_UNKNOWN" && writesTo(op) {
			return "create the repository first"
		}
		if a.code == "NAME_UNKNOWN" {
			return "check the repository's name, and whether the account may see it"
		}
	case providers.Throttled:
		return "lower limits.requests of this registry if it goes on"
	}
	return ""
}

// writesTo reports whether op needs push.
func writesTo(op string) bool {
	return op == opPutManifest || op == opUpload || op == opMount || op == opTry
}
