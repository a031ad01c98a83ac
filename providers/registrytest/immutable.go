package registrytest

import (
	"net/http"
	"strings"
)

// An answerer answers a request.
type answerer interface{ send(http.ResponseWriter) }

// mayPut asks the cloud whether a manifest may be stored so, and the quirks.
func (s *Server) mayPut(x *exchange, p Putting) (answerer, bool) {
	if s.cloud.Put != nil {
		if f := s.cloud.Put(p); f != nil {
			return f, false
		}
	}
	if p.Tag == "" {
		return nil, true
	}
	return s.mayTag(x, p.Present, p.Digest)
}

// mayTag decides whether a tag that has the digest present ("" if it is new) may
// get this one.
func (s *Server) mayTag(x *exchange, present, digest string) (refusal, bool) {
	if want := x.r.Header.Get("If-Match"); want != "" && !x.q.NoIfMatch && strings.Trim(want, `"`) != present {
		return refusal{412, "PRECONDITION_FAILED", "the tag has another digest", nil}, false
	}
	if x.r.Header.Get("If-None-Match") == "*" && !x.q.NoIfMatch && present != "" {
		return refusal{412, "PRECONDITION_FAILED", "the tag is there", nil}, false
	}
	if present == "" || x.q.Immutable == Mutable {
		return refusal{}, true
	}
	if present == digest && x.q.Immutable != ImmutableECR {
		return refusal{}, true
	}
	return x.q.Immutable.refuse(x.repo, x.ref), false
}

// refuse says in the registry's words that the tag stays where it is.
func (i Immutable) refuse(repo, tag string) refusal {
	switch i {
	case ImmutableECR:
		return refusal{400, "TAG_INVALID", "The image tag '" + tag + "' already exists in the '" + repo +
			"' repository and cannot be overwritten because the repository is immutable.", nil}
	case ImmutableACR:
		return refusal{405, "REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this registry, repository or image. " +
			"View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation", map[string]string{}}
	case ImmutableQuay:
		return refusal{409, "TAG_IMMUTABLE", "tag " + tag + " is immutable", nil}
	case ImmutableHarbor:
		return refusal{412, "PRECONDITION", "Failed to process request due to '" + repo + ":" + tag + "' configured as immutable.", nil}
	default:
		return refusal{400, "MANIFEST_INVALID", "cannot update tag " + tag + ". The repository has enabled tag immutability", nil}
	}
}
