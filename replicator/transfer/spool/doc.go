// Package spool keeps what is read, by digest, so that one read feeds every
// target, repository, retry and restart. It knows digests, sizes and bytes; who
// reads from where and who writes to where is its user's.
//
// # Design
//
// A [Claim] joins the one read of its digest, or starts it. The read reserves
// the whole size before its first byte; while it waits for room it holds nothing
// else. Claims follow behind the writer with ReadAt, but never come nearer than
// 64 KiB to its end before size and digest are right, so that an upload which
// reads through a claim cannot complete with wrong bytes.
//
// Room is taken from what nobody claims, least recently used first. When that is
// not enough the reads wait, first come first served, and after a while claims of
// parties that hold others up are revoked ([ErrLost]). Bytes below Options.Small
// stay in memory while there is room, and go to disk after that.
//
// On disk a digest is one file, "sha256-<hex>", with ".part" until it is
// verified. Nothing that an earlier process left is trusted: it is hashed again
// before its first use, and a part is then read on from where it ends.
//
// A read that nobody claims any more ends, and the next one goes on from there. What
// is read into memory is read to its end instead: it is less than another request
// and, over HTTP/1.1, another connection would cost.
//
// What a read brings is in the file before the next one, so that a process that is
// killed has lost nothing; the newest bytes are in memory too (window.go), for who
// follows closely. What every claim has taken leaves the page cache early (cache.go).
package spool
