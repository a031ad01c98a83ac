package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// processes is how many of a peer run side by side, where one works on one
// repository at a time.
const processes = 4

// eachTarget makes the batches of a tool that knows one target at a time.
func eachTarget(j job, of func(n int, target string) (batch, error)) ([]batch, error) {
	var all []batch
	for n, target := range j.targets {
		b, err := of(n, target)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func regsyncTool() tool {
	return tool{name: "regsync", about: "once, parallel 8, referrers and digest tags on", hashes: true, pass: regsyncPass}
}

// regsyncPass is one process for each target.
func regsyncPass(path string, j job) ([]batch, error) {
	return eachTarget(j, func(n int, target string) (batch, error) {
		file := filepath.Join(j.dir, fmt.Sprintf("regsync-%d.yaml", n))
		c := command{path: path, args: []string{"once", "-c", file}, env: environment(j.dir), dir: j.dir}
		return batch{1, []command{c}}, os.WriteFile(file, []byte(regsyncConfig(j, target)), 0o600)
	})
}

func regsyncConfig(j job, target string) string {
	var b strings.Builder
	b.WriteString("version: 1\ncreds:\n")
	for _, host := range []string{j.source, target} {
		fmt.Fprintf(&b, "  - {registry: %q, tls: disabled", host)
		if j.login {
			fmt.Fprintf(&b, ", user: %s, pass: %s", userName, password)
		}
		b.WriteString("}\n")
	}
	b.WriteString("defaults: {parallel: 8, referrers: true, digestTags: true, skipDockerConfig: true}\nsync:\n")
	for _, repo := range j.repos {
		fmt.Fprintf(&b, "  - {source: \"%s/%s\", target: \"%s/%s\", type: repository}\n", j.source, repo, target, repo)
	}
	return b.String()
}

func craneTool() tool {
	return tool{name: "crane", about: "cp -a -j 4 for each repository, 4 processes side by side", hashes: true, realmByName: true, pass: cranePass}
}

// cranePass is a process for each repository.
func cranePass(path string, j job) ([]batch, error) {
	if err := dockerConfig(j); err != nil {
		return nil, err
	}
	return eachTarget(j, func(_ int, target string) (batch, error) {
		b := batch{width: processes}
		for _, repo := range j.repos {
			b.commands = append(b.commands, command{path: path, env: environment(j.dir), dir: j.dir, args: []string{
				"cp", "-a", "-j", "4", "--insecure", j.source + "/" + repo, target + "/" + repo,
			}})
		}
		return b, nil
	})
}

// dockerConfig writes the docker configuration with who we are, for tools that
// read that.
func dockerConfig(j job) error {
	auths := map[string]any{}
	if j.login {
		for _, host := range append([]string{j.source}, j.targets...) {
			auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(userName + ":" + password))}
		}
	}
	raw, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(j.dir, "docker"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(dockerConfigFile(j), raw, 0o600)
}

func dockerConfigFile(j job) string { return filepath.Join(j.dir, "docker", "config.json") }

func skopeoTool() tool {
	return tool{name: "skopeo", about: "sync --all --preserve-digests --keep-going from YAML, 4 processes side by side over the repositories", hashes: true, pass: skopeoPass}
}

// skopeoPass is four processes or a few more: skopeo keeps only the last part of
// a repository's name, so that each process has repositories of one folder.
func skopeoPass(path string, j job) ([]batch, error) {
	if err := dockerConfig(j); err != nil {
		return nil, err
	}
	return eachTarget(j, func(_ int, target string) (batch, error) {
		b := batch{width: processes}
		for n, part := range parts(j.repos, processes) {
			file := filepath.Join(j.dir, fmt.Sprintf("skopeo-%d.yaml", n))
			if err := os.WriteFile(file, []byte(skopeoConfig(j.source, part.repos)), 0o600); err != nil {
				return b, err
			}
			b.commands = append(b.commands, command{path: path, env: environment(j.dir), dir: j.dir, args: []string{
				"--insecure-policy", "--registries.d", filepath.Join(j.dir, "docker"), "--tmpdir", j.dir, "sync",
				"--all", "--preserve-digests", "--keep-going", "--authfile", dockerConfigFile(j), "--src-tls-verify=false", "--dest-tls-verify=false",
				"--src", "yaml", "--dest", "docker", file, strings.TrimSuffix(target+"/"+part.folder, "/."),
			}})
		}
		return b, nil
	})
}

func skopeoConfig(source string, repos []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q:\n  tls-verify: false\n  images:\n", source)
	for _, repo := range repos {
		fmt.Fprintf(&b, "    %q: []\n", repo)
	}
	return b.String()
}

// A part is repositories of one folder.
type part struct {
	folder string
	repos  []string
}

// parts splits repositories by their folder, and these into about n in all.
func parts(repos []string, n int) []part {
	folders := map[string][]string{}
	var order []string
	for _, repo := range repos {
		folder := path.Dir(repo)
		if folders[folder] == nil {
			order = append(order, folder)
		}
		folders[folder] = append(folders[folder], repo)
	}
	each := (n + len(order) - 1) / max(1, len(order))
	var all []part
	for _, folder := range order {
		size := (len(folders[folder]) + each - 1) / each
		for chunk := range slices.Chunk(folders[folder], size) {
			all = append(all, part{folder, chunk})
		}
	}
	return all
}
