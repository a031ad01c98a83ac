// Package survey reads: what sources hold and what targets hold becomes
// [plan.Facts]. It decides nothing: which questions are left is told by
// [plan.Missing], and the survey answers them in rounds until there are none.
//
// # Design
//
// A source repository is read once per job, however many targets and rules look
// at it: one listing, one question a tag, one read a manifest. Each target asks
// on its own, so that a slow one holds back no other; what two of them need of a
// source is read by the first and handed to both. Manifest bytes go to
// Options.Keep as they come and are not held.
//
// What is written to state here is memory of the source: tags seen, subjects of
// untagged manifests, and whether the referrers API answers.
package survey
