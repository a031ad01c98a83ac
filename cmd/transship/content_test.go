package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// watch notes which requests arrive at s.
func watch(s *registrytest.Server) *arrivals {
	a := &arrivals{seen: map[registrytest.Class]int{}}
	a.cond.L = &a.mu
	s.Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
		a.arrive(class)
		return nil
	})
	return a
}

// splitRef reads REPO:TAG.
func splitRef(ts *testscript.TestScript, ref string) (repo, tag string) {
	repo, tag, ok := strings.Cut(ref, ":")
	if !ok {
		ts.Fatalf("%q is not REPO:TAG", ref)
	}
	return repo, tag
}

// cmdPush puts a manifest of a kind under a tag; $DIGEST is its digest.
func cmdPush(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 3)
	repo, tag := splitRef(ts, args[1])
	size := int64(3000)
	if len(args) > 3 {
		n, err := strconv.ParseInt(args[3], 10, 64)
		ts.Check(err)
		size = n
	}
	m, extra := makeManifest(ts, args[2], repo, size)
	ts.Check(s.Load(repo, m, tag))
	for tag, more := range extra {
		ts.Check(s.Load(repo, more, tag))
	}
	ts.Setenv("DIGEST", m.Digest.String())
}

// makeManifest makes the kinds of scripts; extra are others that come with it, by tag.
func makeManifest(ts *testscript.TestScript, kind, repo string, size int64) (m *content.Manifest, extra map[string]*content.Manifest) {
	base := content.Layer("base", 5000)
	own := content.Layer(repo+" "+kind, size)
	image := func(name string) *content.Manifest { return content.Image(repo+name, []content.Blob{base, own}) }
	switch kind {
	case "image":
		return image(""), nil
	case "other": // another image
		return image(" other"), nil
	case "index":
		return content.Index([]*content.Manifest{image(" amd64"), image(" arm64")}), nil
	case "signed":
		m := image("")
		content.Refer(m, string(content.SBOM), repo)
		tag, sig := content.Cosign(m, "sig")
		return m, map[string]*content.Manifest{tag: sig}
	case "helm":
		return content.Helm(repo), nil
	case "twice": // the same layer two times
		return content.Image(repo, []content.Blob{base, own, own}), nil
	case "hollow": // a layer of no bytes
		return content.Image(repo, []content.Blob{content.Bytes(types.OCILayer, nil), own}), nil
	case "bare": // no layer at all
		return content.Artifact("application/vnd.example.bare", nil), nil
	}
	ts.Fatalf("no kind of image %q", kind)
	return nil, nil
}

// cmdDamage breaks what a registry holds. HOW is layer-missing, layer-corrupt,
// layer-short, layer-long, manifest-corrupt, child-missing, gone or mended.
func cmdDamage(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 3)
	repo, tag := splitRef(ts, args[1])
	m, ok := find(s, repo, tag)
	if !ok {
		ts.Fatalf("no %s to damage", args[1])
	}
	ts.Setenv("DIGEST", m.Digest.String())
	switch args[2] {
	case "manifest-corrupt":
		ts.Check(s.CorruptManifest(repo, tag))
	case "gone":
		ts.Check(s.Remove(repo, tag))
	case "child-missing":
		child := below(ts, m.Raw, "manifests")
		ts.Setenv("CHILD", child.Digest.String())
		ts.Check(s.Remove(repo, child.Digest.String()))
	default:
		layer := below(ts, m.Raw, "layers")
		ts.Setenv("LAYER", layer.Digest.String())
		ts.Check(damageLayer(s, repo, layer, args[2]))
	}
}

// find returns the manifest under a tag; REPO:sig is its first cosign signature and
// REPO:sbom the first manifest that refers to another.
func find(s *registrytest.Server, repo, tag string) (providers.Manifest, bool) {
	for name, digest := range s.Tags(repo) {
		if tag == "sig" && strings.HasSuffix(name, ".sig") {
			return s.Resolve(repo, name)
		}
		if list := s.Referrers(repo, digest); tag == "sbom" && len(list) > 0 {
			return s.Resolve(repo, list[0].Digest.String())
		}
	}
	return s.Resolve(repo, tag)
}

func damageLayer(s *registrytest.Server, repo string, layer v1.Descriptor, how string) error {
	switch how {
	case "layer-missing":
		return s.DeleteBlob(repo, layer.Digest)
	case "layer-corrupt":
		return s.CorruptBlob(layer.Digest, layer.Size/2)
	case "layer-short":
		return s.ResizeBlob(layer.Digest, layer.Size-100)
	case "layer-long":
		return s.ResizeBlob(layer.Digest, layer.Size+100)
	case "mended":
		return s.MendBlob(layer.Digest)
	}
	return fmt.Errorf("no damage %q", how)
}

// cmdMoves has a tag moved to a manifest of a kind when the next blob is asked for.
func cmdMoves(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 3)
	repo, tag := splitRef(ts, args[1])
	m, _ := makeManifest(ts, args[2], repo, 3000)
	var once sync.Once
	a := worldOf(ts).arrived[args[0]]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hook = func(class registrytest.Class) {
		if class == registrytest.BlobGet {
			once.Do(func() { _ = s.Load(repo, m, tag) })
		}
	}
}

// below returns the last descriptor that a manifest lists under a key.
func below(ts *testscript.TestScript, raw []byte, key string) v1.Descriptor {
	var doc map[string]json.RawMessage
	ts.Check(json.Unmarshal(raw, &doc))
	var list []v1.Descriptor
	ts.Check(json.Unmarshal(doc[key], &list))
	if len(list) == 0 {
		ts.Fatalf("the manifest has no %s", key)
	}
	return list[len(list)-1]
}
