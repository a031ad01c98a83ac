package providers

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	deep := Names{MinDepth: 3, MaxDepth: 4, Says: "project/repository/image"}
	for _, tt := range []struct {
		name  string
		rules Names
		repo  string
		want  string // part of the error, "" for none
	}{
		{"no rules", Names{}, "a/b/c", ""},
		{"deep enough", deep, "a/b/c", ""},
		{"too shallow", deep, "a/b", "2 path elements, and the host wants at least 3; expected project/repository/image"},
		{"too deep", deep, "a/b/c/d/e", "5 path elements, and the host takes at most 4"},
		{"too short", Names{MinLength: 2}, "a", "1 characters long, and the host wants at least 2"},
		{"short enough", Names{MaxLength: 3}, "a/b", ""},
		{"too long", Names{MaxLength: 3}, "a/bc", "4 characters long, and the host takes at most 3"},
		{"characters", Names{Pattern: "[a-z/]+"}, "a/B", `"a/B" is no repository name`},
		{"the whole name", Names{Pattern: "a|b"}, "ab", "is no repository name"},
		{"what is cut", Names{MaxLength: 10}, strings.Repeat("x", 300), `xxx..." is 300 characters`},
	} {
		err := tt.rules.Check(tt.repo)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestQuotaCounts(t *testing.T) {
	for _, tt := range []struct {
		ops      []string
		yes, not []string
	}{
		{[]string{AnyOp}, []string{OpPing, OpPutManifest, "DescribeImages"}, nil},
		{[]string{ReadOps}, []string{OpTags, OpCatalog, OpReferrers, OpHeadBlob, OpGetManifest}, []string{OpPing, OpToken, OpPutUpload, OpDeleteUpload}},
		{[]string{WriteOps}, []string{OpPutManifest, OpPostUpload, OpPatchUpload, OpPutUpload}, []string{OpGetUpload, OpDeleteManifest, OpTags}},
		{[]string{OpPutManifest, "DescribeImages"}, []string{OpPutManifest, "DescribeImages"}, []string{OpPutUpload}},
	} {
		q := RateQuota{Ops: tt.ops}
		for _, op := range tt.yes {
			if !q.Counts(op) {
				t.Errorf("%v does not count %q", tt.ops, op)
			}
		}
		for _, op := range tt.not {
			if q.Counts(op) {
				t.Errorf("%v counts %q", tt.ops, op)
			}
		}
	}
}

func TestQuotaKey(t *testing.T) {
	for _, tt := range []struct {
		prefix     int
		repo, want string
	}{
		{0, "a/b/c", ""}, {1, "a/b/c", "a"}, {2, "a/b/c", "a/b"}, {2, "a", "a"}, {1, "", ""},
	} {
		if got := (RateQuota{Prefix: tt.prefix}).Key(tt.repo); got != tt.want {
			t.Errorf("key of %q by %d: %q, want %q", tt.repo, tt.prefix, got, tt.want)
		}
	}
}
