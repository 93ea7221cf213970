package command

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion prints what has a shell complete the command. It is made of the same structs as
// the command line itself, so nothing has to be kept in step.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help is shown by completion --help.
func (Completion) Help() string {
	return `Prints a script that has the shell complete subcommands, flags and the values of flags that have a choice.

Examples:
  msgr completion bash > /etc/bash_completion.d/msgr       # or: source <(msgr completion bash)
  msgr completion zsh > "${fpath[1]}/_msgr"
  msgr completion fish > ~/.config/fish/completions/msgr.fish`
}

// Run prints it.
func (c *Completion) Run(k *kong.Kong, w io.Writer) error {
	script := map[string]func(name string, all []place) string{"bash": bash, "zsh": zsh, "fish": fish}[c.Shell]
	_, err := io.WriteString(w, script(k.Model.Name, places(k.Model.Node, nil)))
	return err
}

// place is a command or subcommand, and what may follow it.
type place struct {
	path   string // its names, but for the command's; "" is the command itself
	help   string
	subs   []*kong.Node
	flags  []*kong.Flag
	values []string // of its first argument, if that has a choice
}

// places are node and all below it.
func places(node *kong.Node, above []*kong.Flag) (all []place) {
	flags := append(above[:len(above):len(above)], node.Flags...)
	p := place{flags: flags, help: node.Help}
	for n := node; n.Parent != nil; n = n.Parent {
		p.path = strings.TrimSpace(n.Name + " " + p.path)
	}
	if len(node.Positional) > 0 {
		p.values = enum(node.Positional[0])
	}
	if node.Target.IsValid() && node.Target.Type() == reflect.TypeFor[Help]() {
		p.values = strings.Split(subcommands(node), ", ")
	}
	for _, c := range node.Children {
		if c.Hidden {
			continue
		}
		p.subs = append(p.subs, c)
		all = append(all, places(c, flags)...)
	}
	return append([]place{p}, all...)
}

// enum are the values that v may have, if it has a choice.
func enum(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return strings.Split(v.Enum, ",")
}

// words are all that may follow, flags last.
func (p *place) words() (all []string) {
	for _, s := range p.subs {
		all = append(all, s.Name)
	}
	all = append(all, p.values...)
	for _, f := range p.flags {
		if !f.Hidden {
			all = append(all, "--"+f.Name)
		}
	}
	return all
}

// cases are the arms of three case statements of bash and zsh: how a word leads from one place
// to the next, what values flags have, and what words a place has.
func cases(all []place) (steps, values, lists string) {
	for _, p := range all {
		for _, s := range p.subs {
			steps += fmt.Sprintf("    '%s %s') at='%s' ;;\n", p.path, s.Name, strings.TrimSpace(p.path+" "+s.Name))
		}
		for _, f := range p.flags {
			switch {
			case f.Hidden || f.IsBool() || f.IsCounter():
			case f.Enum != "":
				values += fmt.Sprintf("    '%s --%s') list='%s' ;;\n", p.path, f.Name, strings.Join(enum(f.Value), " "))
			default: // a number or a file: the shell's own completion
				values += fmt.Sprintf("    '%s --%s') list='' ;;\n", p.path, f.Name)
			}
		}
		lists += fmt.Sprintf("    '%s') list='%s' ;;\n", p.path, strings.Join(p.words(), " "))
	}
	return steps, values, lists
}

func bash(name string, all []place) string {
	steps, values, lists := cases(all)
	return fmt.Sprintf(`# bash completion of %[1]s, made by: %[1]s completion bash
_%[1]s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at='' list='' i
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  [[ $cur == -[a-z]* ]] && cur=-$cur
  [[ $prev == -[a-z]* ]] && prev=-$prev
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${COMP_WORDS[i]}" in
%[2]s    esac
  done
  case "$at $prev" in
%[3]s    *)
    case "$at" in
%[4]s    esac ;;
  esac
  COMPREPLY=($(compgen -W "$list" -- "$cur"))
}
complete -o default -F _%[1]s %[1]s
`, name, steps, values, lists)
}

func zsh(name string, all []place) string {
	steps, values, lists := cases(all)
	return fmt.Sprintf(`#compdef %[1]s
# zsh completion of %[1]s, made by: %[1]s completion zsh
_%[1]s() {
  local at='' list='' prev=${words[CURRENT-1]} i
  [[ $prev == -[a-z]* ]] && prev=-$prev
  if [[ ${words[CURRENT]} == --*=* ]]; then
    prev=${words[CURRENT]%%%%=*}
    compset -P '*='
  fi
  for ((i = 2; i < CURRENT; i++)); do
    case "$at ${words[i]}" in
%[2]s    esac
  done
  case "$at $prev" in
%[3]s    *)
    case "$at" in
%[4]s    esac ;;
  esac
  compadd -- ${=list} || _files
}
if [[ $funcstack[1] == _%[1]s ]]; then
  _%[1]s "$@"
else
  compdef _%[1]s %[1]s
fi
`, name, steps, values, lists)
}

func fish(name string, all []place) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ").Replace(s) + "'"
	}
	s := fmt.Sprintf("# fish completion of %[1]s, made by: %[1]s completion fish\n", name)
	for _, p := range all {
		when := "__fish_use_subcommand"
		if p.path != "" {
			const seen = "__fish_seen_subcommand_from "
			when = seen + strings.Join(strings.Fields(p.path), "; and "+seen)
		}
		flags := when
		if p.path != "" && len(p.subs) > 0 {
			var names []string
			for _, c := range p.subs {
				names = append(names, c.Name)
			}
			when += "; and not __fish_seen_subcommand_from " + strings.Join(names, " ")
		}
		for _, c := range p.subs {
			s += fmt.Sprintf("complete -c %s -n %s -a %s -d %s\n", name, quote(when), c.Name, quote(c.Help))
		}
		for _, v := range p.values {
			s += fmt.Sprintf("complete -c %s -n %s -a %s\n", name, quote(when), v)
		}
		for _, f := range p.flags {
			if f.Hidden {
				continue
			}
			s += fmt.Sprintf("complete -c %s -n %s -l %s -d %s", name, quote(flags), f.Name, quote(f.Help))
			switch {
			case f.IsBool() || f.IsCounter():
			case f.Enum != "":
				s += " -x -a " + quote(strings.Join(enum(f.Value), " "))
			default:
				s += " -r"
			}
			s += "\n"
		}
	}
	return s
}
