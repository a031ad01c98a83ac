package registrytest

import (
	"net/http"
	"strings"
)

// A Class is a kind of request, as they are counted and as faults select them.
type Class string

// The classes. Token requests go to the token service, Storage to the storage
// host; every other class is a request to the registry itself.
const (
	Ping           Class = "ping"
	Token          Class = "token"
	Catalog        Class = "catalog"
	Tags           Class = "tags"
	ManifestHead   Class = "manifest HEAD"
	ManifestGet    Class = "manifest GET"
	ManifestPut    Class = "manifest PUT"
	ManifestDelete Class = "manifest DELETE"
	Referrers      Class = "referrers"
	BlobHead       Class = "blob HEAD"
	BlobGet        Class = "blob GET"
	BlobDelete     Class = "blob DELETE"
	Storage        Class = "storage GET"   // what a redirected blob GET leads to
	Mount          Class = "mount"         // POST with mount, whatever the answer
	UploadPost     Class = "upload POST"   // POST without mount
	UploadPatch    Class = "upload PATCH"  //
	UploadPut      Class = "upload PUT"    //
	UploadStatus   Class = "upload status" // GET of an upload's location
	UploadDelete   Class = "upload DELETE" //
	Other          Class = "other"         // nothing that a registry knows
)

// Classes lists every class, in the order of a copy.
func Classes() []Class {
	return []Class{
		Ping, Token, Catalog, Tags, ManifestHead, ManifestGet, Referrers, BlobHead, BlobGet, Storage,
		Mount, UploadPost, UploadPatch, UploadPut, UploadStatus, UploadDelete, ManifestPut,
		ManifestDelete, BlobDelete, Other,
	}
}

// write reports whether the class changes the registry.
func (c Class) write() bool {
	switch c {
	case Mount, UploadPost, UploadPatch, UploadPut, UploadDelete, ManifestPut, ManifestDelete, BlobDelete:
		return true
	}
	return false
}

// A route is what a request's method and path ask for.
type route struct {
	class  Class
	repo   string
	ref    string // of a manifest: a tag or a digest; of referrers: the subject
	digest string // of a blob
	upload string // an upload's id
}

// routeOf reads the request line.
func routeOf(r *http.Request) route {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		if r.URL.Path == "/v2" {
			return route{class: Ping}
		}
		return route{class: Other}
	}
	switch path {
	case "":
		return route{class: Ping}
	case "_catalog":
		return route{class: Catalog}
	}
	if repo, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return route{class: Tags, repo: repo}
	}
	for _, kind := range []string{"/blobs/uploads/", "/manifests/", "/referrers/", "/blobs/"} {
		if i := strings.LastIndex(path, kind); i > 0 {
			return routeTo(r, kind, path[:i], path[i+len(kind):])
		}
	}
	return route{class: Other}
}

func routeTo(r *http.Request, kind, repo, last string) route {
	to := route{repo: repo, class: Other}
	switch kind {
	case "/manifests/":
		to.ref = last
		to.class = pick(r.Method, map[string]Class{"GET": ManifestGet, "HEAD": ManifestHead, "PUT": ManifestPut, "DELETE": ManifestDelete})
	case "/referrers/":
		to.ref = last
		to.class = pick(r.Method, map[string]Class{"GET": Referrers})
	case "/blobs/":
		to.digest = last
		to.class = pick(r.Method, map[string]Class{"GET": BlobGet, "HEAD": BlobHead, "DELETE": BlobDelete})
	default:
		to.upload = last
		to.class = pick(r.Method, map[string]Class{"POST": UploadPost, "PATCH": UploadPatch, "PUT": UploadPut,
			"GET": UploadStatus, "HEAD": UploadStatus, "DELETE": UploadDelete})
		if to.class == UploadPost && r.URL.Query().Has("mount") {
			to.class, to.digest = Mount, r.URL.Query().Get("mount")
		}
	}
	return to
}

func pick(method string, classes map[string]Class) Class {
	if c, ok := classes[method]; ok {
		return c
	}
	return Other
}

// split takes a digest apart; without a colon all of it is the encoded part.
func split(digest string) (algorithm, encoded string) {
	if algorithm, encoded, ok := strings.Cut(digest, ":"); ok {
		return algorithm, encoded
	}
	return "", digest
}
