package registrytest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// storagePath is where blobs are at the storage host.
const storagePath = "/data/"

// A signer signs the storage host's URLs.
type signer struct{ key [32]byte }

func newSigner() signer {
	var s signer
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

func (s signer) sign(repo, digest, expires string) string {
	mac := hmac.New(sha256.New, s.key[:])
	fmt.Fprintf(mac, "%s\n%s\n%s", repo, digest, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

// storageURL is where x's blob is at the storage host, for a while.
func (s *Server) storageURL(x *exchange) string {
	life := x.q.RedirectLife
	if life == 0 {
		life = time.Minute
	}
	expires := strconv.FormatInt(time.Now().Add(life).UnixNano(), 10)
	base := s.storage.url
	if x.q.RedirectTo != "" {
		base = x.q.RedirectTo
	}
	q := url.Values{"repo": {x.repo}, "expires": {expires}, "signature": {s.signer.sign(x.repo, x.digest, expires)}}
	return base + storagePath + x.digest + "?" + q.Encode()
}

// serveStorage is the storage host: signed reads, and uploads where the quirks
// lead them here. It knows no credentials and refuses to see any, as S3 and Azure
// storage do.
func (s *Server) serveStorage(x *exchange) {
	if x.r.Header.Get("Authorization") != "" && x.q.AzureStorage {
		xmlError(x, http.StatusBadRequest, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format.")
		return
	}
	if x.r.Header.Get("Authorization") != "" {
		xmlError(x, http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
		return
	}
	if x.upload != "" {
		s.serveUpload(x)
		return
	}
	q := x.r.URL.Query()
	expires := q.Get("expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil || !hmac.Equal([]byte(q.Get("signature")), []byte(s.signer.sign(x.repo, x.digest, expires))):
		xmlError(x, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match")
	case time.Now().UnixNano() > until:
		xmlError(x, http.StatusForbidden, "AccessDenied", "Request has expired")
	default:
		s.serveStored(x)
	}
}

func (s *Server) serveStored(x *exchange) {
	content, ok := s.backend.blob(x.repo, x.digest)
	if !ok {
		xmlError(x, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	serveBlob(x, content)
}

func xmlError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	sendJSON(w, status, fmt.Appendf(nil, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, message))
}
