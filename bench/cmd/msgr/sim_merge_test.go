package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/simulate"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// merge runs msgr sim-merge.
func merge(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return subcommand("sim-merge", args)
}

// shards runs msgr sim in parts, and returns the files with what it has printed.
func shards(t *testing.T, n int, args ...string) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		code, stdout, stderr := sim(t, append(args, fmt.Sprintf("-shard=%d/%d", i, n), "-json")...)
		require.Equal(t, command.ExitOK, code, stderr)
		require.NotContains(t, stdout, `"runs"`, "there may be millions")
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.json", i)))
		require.NoError(t, os.WriteFile(files[i], []byte(stdout), 0o600))
	}
	return files
}

func TestSimMerge(t *testing.T) {
	files := shards(t, 3, "-scenario", "swarm", "-seeds", "1-7")
	code, stdout, stderr := merge(t, files...)
	require.Equal(t, command.ExitOK, code, stderr)
	require.Contains(t, stdout, "-scenario swarm\n")
	require.Contains(t, stdout, "7 in 3 parts: 1-3, 4-5, 6-7\n")
	require.Contains(t, stdout, "violations  0\n")

	// What is printed as JSON is read again.
	code, first, stderr := merge(t, "-json", files[0], files[2])
	require.Equal(t, command.ExitFault, code)
	require.Contains(t, stderr, "seeds are missing: 4-5")
	both := filepath.Join(t.TempDir(), "both.json")
	require.NoError(t, os.WriteFile(both, []byte(first), 0o600))
	code, again, stderr := merge(t, both, files[1])
	require.Equal(t, command.ExitOK, code, stderr)
	require.Equal(t, stdout, again)
}

func TestSimMergeUsage(t *testing.T) {
	files := shards(t, 2, "-nodes", "4", "-seeds", "1-4")
	dir := t.TempDir()
	changed := func(name, old, new string) string {
		b, err := os.ReadFile(files[1])
		require.NoError(t, err)
		require.Contains(t, string(b), old)
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(b), old, new)), 0o600))
		return file
	}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	for _, c := range []struct{ file, stderr string }{
		{files[0], "overlap"},
		{filepath.Join(dir, "none"), "none: no such file"},
		{dir, "is a directory"},
		{write("empty", ""), "not what msgr sim --json prints"},
		{write("other", `{"scenario":"gossip"}`), "there is no campaign in it"},
		{changed("v2", `"version": 1`, `"version": 2`), "version 2 of the format; this program reads version 1"},
		{changed("flags", `"-scenario gossip -nodes 4"`, `"-scenario gossip -nodes 5"`), "-nodes 5"},
		{changed("build", `"build": "msgr `, `"build": "mine `), "were run by"},
		{changed("part", `"seeds": 2,`, `"seeds": 1,`), "it was interrupted"},
	} {
		code, stdout, stderr := merge(t, files[0], c.file)
		require.Equal(t, command.ExitUsage, code, "%s: %s", c.file, stderr)
		require.Empty(t, stdout, c.file)
		require.Contains(t, stderr, c.stderr, c.file)
	}
	code, _, _ := merge(t)
	require.Equal(t, command.ExitUsage, code)

	for _, c := range []struct{ args, stderr string }{
		{"-shard 0/2", "it is a part of --seeds"},
		{"-shard 0/2 -seed 3", "it is a part of --seeds"},
		{"-seeds 1-9 -shard 2/2", "there is no shard 2 of 2: they are 0 to 1"},
		{"-seeds 1-9 -shard 1-2", "--shard=1-2: a shard is a number"},
		{"-seeds 1-2 -shard 0/3", "2 seeds cannot be cut into 3 shards"},
	} {
		code, stdout, stderr := sim(t, strings.Fields(c.args)...)
		require.Equal(t, command.ExitUsage, code, "%s: %s", c.args, stderr)
		require.Empty(t, stdout, c.args)
		require.Contains(t, stderr, c.stderr, c.args)
	}
}

// TestSimMergeViolations: what a shard has found is not lost among the others.
func TestSimMergeViolations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wrong.txt")
	require.NoError(t, os.WriteFile(file, []byte("node a\nnode b\nsend a b\nrun 1s\nexpect delivered a b 2\n"), 0o600))
	code, stdout, _ := sim(t, "-scenario", file, "-seeds", "1-4", "-shard", "1/2", "-json")
	require.Equal(t, command.ExitFault, code)
	shard := filepath.Join(t.TempDir(), "1.json")
	require.NoError(t, os.WriteFile(shard, []byte(stdout), 0o600))
	code, stdout, stderr := merge(t, shard)
	require.Equal(t, command.ExitFault, code)
	require.Contains(t, stdout, "seed 4: ")
	require.Contains(t, stderr, "2 violations in 2 seeds; repeat one: msgr sim -scenario "+file+" -seed 3")
	require.Contains(t, stderr, "seeds are missing: 1-2")
}

// TestCampaignManifest: the example's shards are as many as its pods, and msgr takes them.
func TestCampaignManifest(t *testing.T) {
	b, err := os.ReadFile("../../../docs/k8s/campaign.yaml")
	require.NoError(t, err)
	var job struct {
		APIVersion, Kind string
		Metadata         metadata
		Spec             struct {
			CompletionMode                                 string
			Completions, Parallelism, BackoffLimitPerIndex int
			Template                                       struct {
				Spec struct {
					RestartPolicy string
					Containers    []container
				}
			}
		}
	}
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal(b, &n))
	spelled := map[string]string{}
	spellings(reflect.TypeOf(job), spelled)
	require.Empty(t, small(&n, spelled))
	b, err = yaml.Marshal(&n)
	require.NoError(t, err)
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	require.NoError(t, strict.Decode(&job))
	require.Equal(t, "Indexed", job.Spec.CompletionMode)
	c := job.Spec.Template.Spec.Containers[0]
	require.Equal(t, "SHARD", c.Env[0].Name)
	for _, i := range []int{0, job.Spec.Completions - 1} {
		var cmd simCmd
		parser, err := kong.New(&cmd)
		require.NoError(t, err)
		args := strings.ReplaceAll(strings.Join(c.Args[1:], "\n"), "$(SHARD)", fmt.Sprint(i))
		_, err = parser.Parse(strings.Split(args, "\n"))
		require.NoError(t, err)
		require.True(t, cmd.JSON)
		shard, err := simulate.ParseShard(cmd.Shard)
		require.NoError(t, err)
		require.Equal(t, job.Spec.Completions, shard.Of)
		_, whole, err := cmd.config()
		require.NoError(t, err)
		_, err = cmd.cut(whole)
		require.NoError(t, err)
	}
}
