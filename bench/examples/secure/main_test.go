//go:build linux

package main

func Example() {
	main()
	// Output:
	// osd.3 proved its name to client.admin: tls, secure mode
	// osd.3 proved its name to client.admin: tls, secure mode
}
