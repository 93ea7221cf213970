package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Help is --help for those who write it as a subcommand.
type Help struct {
	Command []string `arg:"" optional:"" name:"subcommand" help:"The subcommand."`
}

// Help is shown by help --help.
func (Help) Help() string {
	return `Examples:
  msgr help
  msgr help ping
  msgr help cert issue`
}

// Run shows the help and leaves as --help does.
func (c *Help) Run(k *kong.Kong) error {
	node := k.Model.Node
	for _, name := range c.Command {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == name })
		if i < 0 {
			return Usage(fmt.Errorf("there is no subcommand %s; there are %s",
				strings.Join(c.Command, " "), subcommands(node)))
		}
		node = node.Children[i]
	}
	_, err := k.Parse(append(slices.Clone(c.Command), "--help"))
	return err
}

// subcommands lists those of a node, or of the command if it has none.
func subcommands(n *kong.Node) string {
	for len(n.Children) == 0 && n.Parent != nil {
		n = n.Parent
	}
	var names []string
	for _, child := range n.Children {
		names = append(names, child.Name)
	}
	return strings.Join(names, ", ")
}
