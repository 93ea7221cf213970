package entity_test

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// An address without a nonce means whichever process listens there; with one, it is that
// process.
func ExampleParseAddrVec() {
	for _, s := range []string{"10.0.0.7:7001", "v2:10.0.0.7:7001/3141", "v2:[2001:db8::7]:7001/1", "10.0.0.7"} {
		v, err := entity.ParseAddrVec(s)
		if err != nil {
			fmt.Println("no address:", s)
			continue
		}
		fmt.Println(v, v[0].AnyNonce)
	}
	// Output:
	// v2:10.0.0.7:7001 true
	// v2:10.0.0.7:7001/3141 false
	// v2:[2001:db8::7]:7001/1 false
	// no address: 10.0.0.7
}

// A Name is a type and a number.
func ExampleName() {
	n, err := entity.ParseName("osd.3")
	fmt.Println(n == entity.OSD(3), n.Type == entity.TypeOSD, err)
	fmt.Println(entity.Mon(0), entity.Client(4151))
	// Output:
	// true true <nil>
	// mon.0 client.4151
}
