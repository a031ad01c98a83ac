package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// An answer is what a host said when it refused a request.
type answer struct {
	status  int
	code    string // of the error that tells most (distribution-spec v1.1, "Error Codes")
	message string // sanitized
	detail  string // that error's detail as JSON, for looking up names only
	html    bool
}

// parseAnswer reads an error's body, which anyone may have written.
func parseAnswer(status int, contentType string, body []byte) answer {
	a := answer{status: status, html: strings.Contains(strings.ToLower(contentType), "text/html")}
	var doc struct {
		Errors  []diagnostic `json:"errors"`
		Code    any          `json:"code"`
		Message string       `json:"message"`
		Details string       `json:"details"`
		Error   any          `json:"error"`
		Detail  any          `json:"detail"`     // Quay's API,
		Type    string       `json:"error_type"` // which has its code here
	}
	if json.Unmarshal(body, &doc) != nil {
		if !a.html {
			a.message = sanitize(string(body))
		}
		return a
	}
	if len(doc.Errors) == 0 {
		code, _ := doc.Code.(string)
		def(&code, doc.Type)
		doc.Errors = []diagnostic{{Code: code, Message: firstText(doc.Message, doc.Details, doc.Error, doc.Detail)}}
	}
	e := telling(doc.Errors)
	a.code = sanitize(e.Code)
	a.detail = string(e.Detail)
	a.message = sanitize(e.Message)
	if more := len(doc.Errors) - 1; more > 0 {
		a.message += fmt.Sprintf(" (and %d more)", more)
	}
	return a
}

type diagnostic struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// telling is what is missing, before what else is wrong: distribution 2.8 says
// DIGEST_INVALID beside it, while a blob that the manifest names is sent again.
func telling(all []diagnostic) diagnostic {
	for _, e := range all {
		if e.Code == "MANIFEST_BLOB_UNKNOWN" {
			return e
		}
	}
	return all[0]
}

func firstText(values ...any) string {
	for _, v := range values {
		if s, ok := v.(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// text is the answer as an error's text.
func (a answer) text() error {
	parts := []string{fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))}
	for _, s := range []string{a.code, a.message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if a.html && a.message == "" {
		parts = append(parts, "with a web page")
	}
	return errors.New(strings.Join(parts, ": "))
}

// maxMessage bounds what a host can put into our logs, in bytes.
const maxMessage = 400

var (
	urlQuery   = regexp.MustCompile(`(https?://[^\s"'?]*)\?[^\s"']*`)
	urlUser    = regexp.MustCompile(`(https?://)[^\s/"'@]*@`)
	credential = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/_.=~-]{8,}`)
)

// sanitize makes a stranger's text fit for a log: no control characters, no URL
// queries, no credentials, and short.
func sanitize(s string) string {
	if len(s) > 4*maxMessage {
		s = s[:4*maxMessage]
	}
	s = strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	s = urlQuery.ReplaceAllString(s, "$1?…")
	s = urlUser.ReplaceAllString(s, "$1")
	s = credential.ReplaceAllString(s, "$1 [redacted]")
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}
