package policy

// What goes from one source registry to one or more targets, and when.
type Rule struct {
	// The rule's name: letters, digits, dots, underscores and hyphens.
	Name string `json:"name" jsonschema:"required"`
	// Do nothing for now. What is at the targets stays.
	Paused bool `json:"paused,omitempty"`
	// When to look, as five cron fields (minute, hour, day, month, weekday),
	// @hourly, @daily or @every 10m; a leading CRON_TZ=Europe/Paris sets the time
	// zone. Without it the rule runs when asked.
	Schedule string `json:"schedule,omitempty" policy:"cron"`
	// The most by which a run of the schedule is put off, so that rules with one
	// schedule do not begin all at once; by how much is the same each time.
	// Default: 0s.
	Jitter Duration `json:"jitter,omitempty"`
	// The only times at which transship serve runs the rule by itself, such as
	// 22:00-06:00, "Sat,Sun 00:00-24:00" or "CRON_TZ=Europe/Paris Mon-Fri
	// 20:00-06:00"; days are those on which it opens. What falls due outside is one
	// run at the next opening; at the close no further image is begun. What is
	// asked for by hand runs at any time.
	Windows []string `json:"windows,omitempty" policy:"window"`
	// The rule's share where rules wait for each other: one of weight 2 gets twice
	// as many of its repositories looked at as one of weight 1. Default: 1.
	Weight int `json:"weight,omitempty" jsonschema:"minimum=1,maximum=1000"`
	// Where images come from.
	From Source `json:"from" jsonschema:"required"`
	// Where they go.
	To []Target `json:"to" jsonschema:"required,minItems=1"`
	// Which tags are taken. Default: all.
	Tags Tags `json:"tags,omitzero"`
	// Globs of tags that never move at the source: once copied and known, they
	// are not asked for again.
	ImmutableTags []string `json:"immutableTags,omitempty" policy:"glob"`
	// Which platforms of an image are taken. Default: all.
	Platforms Platforms `json:"platforms,omitzero"`
	// Which manifests are taken, by media type.
	MediaTypes TypeFilter `json:"mediaTypes,omitzero"`
	// Which artifacts are taken, by artifact type: images by that of their
	// manifest or config, and referrers.
	ArtifactTypes TypeFilter `json:"artifactTypes,omitzero"`
	// Signatures, attestations and SBOMs, which follow their image.
	Referrers Referrers `json:"referrers,omitzero"`
	// What is done about layers that live outside registries (foreign layers):
	// keep leaves them references, copy brings their bytes. Default: keep.
	ForeignLayers ForeignLayers `json:"foreignLayers,omitempty"`
	// What is done when a target's tag is neither what the source has nor what
	// was last put there: overwrite, keep, or fail. Default: overwrite.
	OnConflict OnConflict `json:"onConflict,omitempty"`
	// What is done when a tag that was put has left the target: restore (at most
	// once a day) or leave. Default: restore.
	OnGone OnGone `json:"onGone,omitempty"`
	// The time in which every remembered fact about a target is looked at again.
	// Default: 1d.
	VerifyEvery Duration `json:"verifyEvery,omitempty"`
	// The lag above which the rule counts as behind.
	MaxLag Duration `json:"maxLag,omitempty"`
}

// Where images come from.
type Source struct {
	// The name of a registry.
	Registry string `json:"registry" jsonschema:"required"`
	// Which of its repositories. Default: all.
	Repositories Repositories `json:"repositories,omitzero"`
}

// Repositories by name. In a glob * stands for anything but a slash, ** for
// anything, {a,b} for either. If no include has such a character, the registry
// is never asked for its catalog.
type Repositories struct {
	// Globs or plain names of the repositories to take. Default: all.
	Include []string `json:"include,omitempty" policy:"repository"`
	// Globs of repositories to leave out.
	Exclude []string `json:"exclude,omitempty" policy:"repository"`
}

// Where images go. Templates know .Repository, .Registry (the source's name)
// and, for tags, .Tag; the functions trimPrefix, trimSuffix, replace,
// regexReplace, base, dir and lower; and if with eq, ne, and, or, not.
type Target struct {
	// The name of a registry.
	Registry string `json:"registry" jsonschema:"required"`
	// The target repository, such as mirror/{{.Repository}} or
	// '{{.Repository | regexReplace "^team-([^/]+)/" "$1-"}}'. Default: the
	// source's name.
	Repository string `json:"repository,omitempty" policy:"repositoryTemplate"`
	// The target tag, such as '{{.Tag | trimPrefix "v"}}'. Default: the source's tag.
	Tag string `json:"tag,omitempty" policy:"tagTemplate"`
	// As on the rule, for this target.
	OnConflict OnConflict `json:"onConflict,omitempty"`
	// As on the rule, for this target.
	OnGone OnGone `json:"onGone,omitempty"`
	// Names of registries that are read before the source for what they are known
	// to hold, such as another target in the same cloud: see nearest reader.
	ReadFrom []string `json:"readFrom,omitempty"`
	// How an image comes there: copy, or import, at acr, which has Azure read the
	// source itself: see offload. Default: copy.
	Via Via `json:"via,omitempty"`
	// With via: import, let Azure have the source's username and password.
	ShareSourceCredential bool `json:"shareSourceCredential,omitempty"`
}

// Which tags are taken: those that every given filter takes.
type Tags struct {
	// Globs; a tag that one of them or of includeRegexp matches is taken.
	// Default: all tags.
	Include []string `json:"include,omitempty" policy:"glob"`
	// Globs of tags to leave out.
	Exclude []string `json:"exclude,omitempty" policy:"glob"`
	// Regular expressions (RE2) that match a whole tag; see include.
	IncludeRegexp []string `json:"includeRegexp,omitempty" policy:"regexp"`
	// Regular expressions (RE2) of whole tags to leave out.
	ExcludeRegexp []string `json:"excludeRegexp,omitempty" policy:"regexp"`
	// A range of semantic versions, such as ">=1.2 <3" or ">=1.2-0" (with
	// pre-releases). Tags that are no version are left out.
	Semver string `json:"semver,omitempty" policy:"semver"`
	// Only the newest of those that the other filters take.
	Newest *Newest `json:"newest,omitempty"`
	// Cool-down: a tag is taken once it is this old, by its push time or, where
	// the registry has none, by when it was first seen.
	MinAge Duration `json:"minAge,omitempty"`
	// A tag that is older, by the same time, is no longer taken; what is at the
	// targets stays.
	MaxAge Duration `json:"maxAge,omitempty"`
	// Digests to take besides the tags, sha256:... each.
	Digests []string `json:"digests,omitempty" policy:"digest"`
	// Take manifests without a tag too, where the registry lists them.
	Untagged bool `json:"untagged,omitempty"`
}

// The newest tags of each repository.
type Newest struct {
	// How many.
	Count int `json:"count" jsonschema:"required,minimum=1"`
	// By which order: semver, or pushed where the registry knows push times.
	By By `json:"by" jsonschema:"required"`
}

// Which platforms of a multi-platform image are taken.
type Platforms struct {
	// os/architecture[/variant][:os.version] each, such as linux/arm64.
	Only []Platform `json:"only,omitempty"`
	// sparse keeps the index and its digest and leaves the other platforms out
	// (where the target takes that); rewrite puts a smaller index with a digest
	// and signatures of its own.
	Mode Mode `json:"mode,omitempty"`
}

// A filter by type. In a glob * stands for anything but a slash, ? for one character.
type TypeFilter struct {
	// Globs of types to take. Default: all.
	Include []string `json:"include,omitempty" policy:"typeGlob"`
	// Globs of types to leave out.
	Exclude []string `json:"exclude,omitempty" policy:"typeGlob"`
}

// Signatures, attestations and SBOMs of an image, and of these: the OCI referrers
// API, its fallback tags, and cosign's tags. Of the single platforms of an index,
// those that such tags or the registry's own listing show; see children.
type Referrers struct {
	// Whether they follow their image. Default: true.
	Enabled *bool `json:"enabled,omitempty"`
	// Ask the source's referrers API about each platform of an index too, not only
	// about the index. It costs a request more for each of them when the index is
	// copied, and, each time it is looked at again, one for each and one to read
	// the index. What tags or listings show is followed without it. Default: false.
	Children bool `json:"children,omitempty"`
	// The time within which new ones on unchanged images are found. Default: 1h,
	// and 1d for more than 10,000 manifests. Where the source's limits.requests is
	// given, the questions take a tenth of it at most, and may take longer: plan
	// and sync tell how long.
	Recheck Duration `json:"recheck,omitempty"`
}
