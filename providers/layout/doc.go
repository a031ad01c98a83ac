// Package layout keeps repositories as OCI image layouts on disk (image-spec
// v1.1, "OCI Image Layout"), one folder each, for air-gapped moves, tests and the
// demo. It implements [providers.Registry] as source and as target.
//
// # Design
//
// A repository is the folder root/<repository> with oci-layout, index.json and
// blobs/. A root that is itself a layout is served as one repository, named like
// its folder, and holds no other.
//
// Tags are the org.opencontainers.image.ref.name annotations in index.json, which
// also lists every manifest that was put by digest, without a name. It is replaced
// as a whole, under a lock that other processes honour (index.json.lock), after
// the blobs that it leads to are on disk. A blob gets its name when its digest is
// proven. Blobs are shared between repositories by hard links.
//
// All paths go through an [os.Root]: nothing in a layout from a stranger, such as a
// link, leads out of it. Content is hashed when it comes in, and manifests also
// when they are read; a blob's bytes are its reader's to verify.
//
// Nothing is ever deleted but temporary files.
package layout
