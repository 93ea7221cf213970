//go:build !linux

// Command clustertest runs the store on five machines, which are network namespaces: Linux's.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "clustertest: network namespaces are Linux's")
	os.Exit(1)
}
