package ecrpublic

import "encoding/json"

// A statement is one of an IAM policy.
type statement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

// What each use of the registry needs, and no more.
var (
	signInActions = []string{"ecr-public:DescribeRegistries", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
	readActions   = []string{"ecr-public:DescribeImages", "ecr-public:DescribeRepositories"}
	writeActions  = []string{"ecr-public:BatchCheckLayerAvailability", "ecr-public:CompleteLayerUpload", "ecr-public:InitiateLayerUpload",
		"ecr-public:PutImage", "ecr-public:UploadLayerPart"}
)

const ownRepositories = "arn:aws:ecr-public::*:repository/*"

// Permissions is the smallest IAM policy, as JSON, with which our account's
// repositories can be listed, and written if push is set, and made unless they never
// are. Anyone may read.
func (r *Registry) Permissions(push bool) string {
	all := []statement{{"SignIn", "Allow", signInActions, "*"}, {"List", "Allow", readActions, ownRepositories}}
	if push {
		all = append(all, statement{"Write", "Allow", writeActions, ownRepositories})
	}
	if push && !r.opts.Never {
		all = append(all, statement{"Create", "Allow", []string{"ecr-public:CreateRepository"}, ownRepositories})
	}
	out, err := json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": all}, "", "  ")
	if err != nil {
		panic(err) // strings
	}
	return string(out)
}
