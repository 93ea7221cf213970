//go:build linux

package main

func Example() {
	main()
	// Output:
	// client.admin talks with osd.3: tls, secure mode
	// client.admin talks with osd.3: tls, secure mode
}
