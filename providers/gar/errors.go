package gar

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// codes are what the statuses of Google's APIs mean (google.rpc.Code).
var codes = map[string]providers.Kind{
	"RESOURCE_EXHAUSTED": providers.Throttled, "UNAVAILABLE": providers.Unavailable, "INTERNAL": providers.Unavailable,
	"DEADLINE_EXCEEDED": providers.Unavailable, "ABORTED": providers.Unavailable, "UNAUTHENTICATED": providers.Denied,
	"PERMISSION_DENIED": providers.Denied, "NOT_FOUND": providers.NotFound, "ALREADY_EXISTS": providers.Conflict,
	"INVALID_ARGUMENT": providers.Invalid, "OUT_OF_RANGE": providers.Invalid, "FAILED_PRECONDITION": providers.Invalid,
	"UNIMPLEMENTED": providers.Unsupported,
}

// reasons are hints for what an ErrorInfo says.
var reasons = map[string]string{
	"SERVICE_DISABLED":    "enable the API: gcloud services enable artifactregistry.googleapis.com",
	"BILLING_DISABLED":    "enable billing of the project",
	"CONSUMER_INVALID":    "check the project's name in the repository's path",
	"USER_PROJECT_DENIED": "grant serviceusage.services.use on the quota project, or take it out of the credentials",
}

// quotaReasons are those of RESOURCE_EXHAUSTED that waiting does not lift.
var quotaReasons = []string{"RESOURCE_QUOTA_EXCEEDED", "RESOURCE_USAGE_RESTRICTION_VIOLATED", "QUOTA_EXCEEDED"}

func isQuota(body string) bool {
	for _, reason := range quotaReasons {
		if strings.Contains(body, `"`+reason+`"`) {
			return true
		}
	}
	return false
}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}

// explain turns an error of the API's client into the providers' words, with
// Google's own reason kept. An identity that is refused stops the registry.
func (r *Registry) explain(ctx context.Context, op, repo string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		now := *e
		now.Op, now.Ref = op, r.where(repo)
		return &now
	}
	if api, ok := errors.AsType[*apierror.APIError](err); ok && api.HTTPCode() > 0 {
		return r.ofAPI(op, repo, api)
	}
	if strings.Contains(err.Error(), "proto:") || strings.Contains(err.Error(), "syntax error") {
		return r.fail(op, repo, providers.Invalid, errors.New("what answers is not Google's API"), "check the proxy, and what stands between this machine and googleapis.com")
	}
	return r.fail(op, repo, providers.Unavailable, errors.New(firstLine(err.Error())), "check that this machine may reach artifactregistry.googleapis.com")
}

// ofStatus is the error of an answer that is no error of Google's own.
func (r *Registry) ofStatus(op, repo string, status int) error {
	kind := providers.Invalid
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		kind = providers.Unavailable
	}
	e := r.fail(op, repo, kind, fmt.Errorf("HTTP status %d", status), "check the proxy, and what stands between this machine and googleapis.com")
	e.Status = status
	return e
}

func (r *Registry) ofAPI(op, repo string, api *apierror.APIError) error {
	code := statusOf(api)
	if code == "" {
		return r.ofStatus(op, repo, api.HTTPCode())
	}
	e := r.fail(op, repo, codes[code], fmt.Errorf("%s: %s", cmp.Or(api.Reason(), code), firstLine(api.Message())), reasons[api.Reason()])
	e.Status, e.Code = api.HTTPCode(), code
	switch {
	case code == "UNAUTHENTICATED":
		stopped := r.stop(op, repo, e.Err, "the token is refused: check the credentials of this registry, and this machine's clock")
		stopped.Status, stopped.Code = e.Status, code
		return stopped
	case code == "RESOURCE_EXHAUSTED" && isQuota(`"`+api.Reason()+`"`):
		e.Kind = providers.Quota
	case code == "FAILED_PRECONDITION" && strings.Contains(strings.ToLower(api.Message()), "immutab"):
		e.Kind = providers.Conflict
	case e.Kind == providers.Unknown && e.Status >= http.StatusInternalServerError:
		e.Kind = providers.Unavailable
	}
	if e.Hint == "" {
		e.Hint = hintOf(e.Kind, api)
	}
	if e.Kind == providers.Denied {
		e.Err = fmt.Errorf("as %s: %w", r.who(), e.Err)
	}
	return e
}

// statusOf is the status by its name; the client knows the HTTP status' only.
func statusOf(api *apierror.APIError) string {
	var body struct{ Error struct{ Status string } }
	if web, ok := errors.AsType[*googleapi.Error](api.Unwrap()); ok && json.Unmarshal([]byte(web.Body), &body) == nil {
		return body.Error.Status
	}
	return ""
}

func hintOf(kind providers.Kind, api *apierror.APIError) string {
	switch kind {
	case providers.Denied:
		if p := api.Metadata()["permission"]; p != "" {
			return grant(p, api.Metadata()["resource"])
		}
		return cmp.Or(missingPermission(api.Message()), "grant the identity of this registry the permission")
	case providers.Quota:
		return "raise the quota at Google, or delete what is not needed"
	case providers.Throttled:
		return "lower limits.requests of this registry if it goes on"
	case providers.NotFound:
		return "check the repository's name, and the project and location"
	}
	return ""
}

func grant(permission, resource string) string {
	if resource == "" {
		return "grant " + permission
	}
	return "grant " + permission + " on " + strings.TrimPrefix(resource, "//artifactregistry.googleapis.com/")
}

var denied = regexp.MustCompile(`[Pp]ermission ["']([a-zA-Z]+\.[a-zA-Z.]+)["'] denied on resource ["']([^"']+)["']`)

// missingPermission names what Google says is missing, "" if it does not say.
func missingPermission(message string) string {
	m := denied.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	return grant(m[1], m[2])
}

// maybeAbsent is how the service speaks of what is not there, or not for us.
const maybeAbsent = "(or it may not exist)"

// explainRefusal says what the registry's own words mean where they are not those
// of every registry.
func explainRefusal(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	switch missing := missingPermission(f.Message); {
	case f.Status == http.StatusForbidden && missing != "" && strings.Contains(f.Message, maybeAbsent):
		return providers.Denied, "make the repository, or " + missing, true
	case f.Status == http.StatusForbidden && missing != "":
		return providers.Denied, missing, true
	case strings.Contains(f.Message, "createOnPush permission"):
		return providers.Denied, "make the repository of this gcr.io host, or grant artifactregistry.repositories.createOnPush (roles/artifactregistry.createOnPushWriter)", true
	}
	return 0, "", false
}
