// Package transfer carries plans out: it reads blobs once, places them at every
// target that lacks them, and puts manifests so that a tag never names anything
// incomplete. It decides nothing about what is wanted (replicator/plan does) and
// retries no request (the provider does).
//
// # Design
//
// An image goes in four steps, each complete before the next: blobs, large ones
// first; children, by digest and depth first; referrers, in the plan's order;
// and its own manifest, once under each tag.
//
// A blob is placed by the first of these that works: the repository has it; it
// is on its way to the registry in another image (wait, then mount); a sibling
// repository has it (mount); upload. Bytes come through the spool
// (replicator/transfer/spool), which reads each blob once for all targets.
//
// A read goes from one reader of the blob's origin to the next, the cheapest first:
// repositories of the target's registry, of others that are believed to hold it, and
// the source. Who fails is out for this blob; those who joined the read learn it from
// the attempt. Bytes that prove wrong put out the one who gave all of them.
//
// Nothing waits while it holds a limit. The order is: room in the spool, then a
// read slot at the source, then, once bytes come, a write slot at the target; a
// reader never waits for a writer. Images wait for images only through one
// graph, which refuses a wait that would close a circle (see flight.go).
//
// What is learned on the way (content placed, mounts refused) is kept for the
// run and given to state; a fact that proves wrong is dropped from both and the
// step is done again without it.
package transfer
