package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/stretchr/testify/require"
)

func script(t *testing.T, shell string) string {
	t.Helper()
	var out, errs bytes.Buffer
	require.Equal(t, command.ExitOK, run([]string{"completion", shell}, &out, &errs), errs.String())
	file := filepath.Join(t.TempDir(), "_msgr")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	return file
}

// shell runs a program in a shell, if that is there.
func shell(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not there")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// completions are what a command line that ends there may go on with: "=" is a word of its own,
// as bash has it.
var completions = []struct {
	words string // the last one is what is completed
	want  string
}{
	{"msgr pi", "ping"},
	{"msgr de", "demo decode del"},
	{"msgr cert i", "init issue"},
	{"msgr cert init --da", "--days"},
	{"msgr ping --cou", "--count"},
	{"msgr ping -cou", "--count"},
	{"msgr ping --type m", "mon mds mgr"},
	{"msgr ping --type = m", "mon mds mgr"},
	{"msgr top /run/x.asok --sort = q", "queue"},
	{"msgr top /run/x.asok --on", "--once"},
	{"msgr top --interval ", ""},
	{"msgr help to", "top"},
	{"msgr completion ", "bash zsh fish --help"},
	{"msgr --h", "--help"},
	{"msgr nope --x", ""},
}

func TestCompletionBash(t *testing.T) {
	file := script(t, "bash")
	for _, c := range completions {
		got := shell(t, "bash", "--norc", "-c", `source "$1"; words="$2"
			IFS=' ' read -r -a COMP_WORDS <<< "$words"
			[[ $words == *' ' ]] && COMP_WORDS+=('')
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			_msgr; echo "${COMPREPLY[*]}"`, "bash", file, c.words)
		require.Equal(t, c.want, got, "%q", c.words)
	}
	require.Equal(t, "complete -o default -F _msgr msgr",
		shell(t, "bash", "--norc", "-c", `source "$1"; complete -p msgr`, "bash", file))
}

func TestCompletionZsh(t *testing.T) {
	file := script(t, "zsh")
	for _, c := range completions {
		c.words = strings.Replace(c.words, " = ", "=", 1) // which is one word there
		got := shell(t, "zsh", "-f", "-c", `compdef() { :; }; source "$1"
			words=("${(@s: :)2}"); CURRENT=$#words; cur=$words[CURRENT]
			compset() { cur=${cur#*=}; }
			_files() { :; }
			compadd() { shift; print -r -- ${(M)@:#${cur/#-(#b)([a-z])/--$match[1]}*}; }
			_msgr`, "zsh", file, c.words)
		if !strings.Contains(c.words, " -cou") { // left to zsh, which knows no such thing
			require.Equal(t, c.want, got, "%q", c.words)
		}
	}
}

func TestCompletionFish(t *testing.T) {
	file := script(t, "fish")
	for _, c := range completions {
		if strings.Contains(c.words, " = ") || strings.Contains(c.words, " -cou") || c.want == "" {
			continue
		}
		got := shell(t, "fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, file, c.words)
		var names []string
		for line := range strings.Lines(got) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			names = append(names, name)
		}
		for _, want := range strings.Fields(c.want) {
			if c.words != "msgr completion " || want != "--help" {
				require.Contains(t, names, want, "%q", c.words)
			}
		}
	}
}

// TestCompletionHasAll: each subcommand and each flag is in each script.
func TestCompletionHasAll(t *testing.T) {
	for _, sh := range []string{"bash", "zsh", "fish"} {
		text, err := os.ReadFile(script(t, sh))
		require.NoError(t, err)
		for _, n := range leaves(t) {
			for _, f := range n.Flags {
				flag := "--" + f.Name
				if sh == "fish" {
					flag = "-l " + f.Name + " "
				}
				require.Contains(t, string(text), flag, "%s of %s", sh, n.Path())
			}
			require.Contains(t, string(text), n.Name)
		}
	}
}
