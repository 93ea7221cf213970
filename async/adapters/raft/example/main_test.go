package main

// What is printed is of both nodes that are left.
func Example() {
	main()
	// Output:
	// hello again
	// hello again
}
