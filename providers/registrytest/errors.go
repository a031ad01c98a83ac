package registrytest

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// A refusal is an answer in the registries' error envelope (OCI
// distribution-spec v1.1, "Error Codes").
type refusal struct {
	status  int
	code    string
	message string
	detail  any
}

// The refusals that several handlers share, with distribution's words.
var (
	manifestUnknown = refusal{404, "MANIFEST_UNKNOWN", "manifest unknown", nil}
	blobUnknown     = refusal{404, "BLOB_UNKNOWN", "blob unknown to registry", nil}
	uploadUnknown   = refusal{404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil}
	nameUnknown     = refusal{404, "NAME_UNKNOWN", "repository name not known to registry", nil}
	unsupported     = refusal{405, "UNSUPPORTED", "The operation is unsupported.", nil}
	manifestInvalid = refusal{400, "MANIFEST_INVALID", "manifest invalid", nil}
	digestInvalid   = refusal{400, "DIGEST_INVALID", "provided digest did not match uploaded content", nil}
	denied          = refusal{403, "DENIED", "requested access to the resource is denied", nil}
	notFound        = refusal{404, "NOT_FOUND", "no such route", nil}
)

// because returns f with a detail.
func (f refusal) because(detail any) refusal {
	f.detail = detail
	return f
}

func (f refusal) send(w http.ResponseWriter) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]one{"errors": {{f.code, f.message, f.detail}}})
	if err != nil {
		body = []byte(`{"errors":[]}`)
	}
	sendJSON(w, f.status, append(body, '\n'))
}

func sendJSON(w http.ResponseWriter, status int, body []byte) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is its own business
}
