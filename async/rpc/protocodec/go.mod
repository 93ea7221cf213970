module github.com/asyncmsgr/asyncmsgr/async/rpc/protocodec

go 1.26.0

require (
	github.com/asyncmsgr/asyncmsgr v0.0.0-00010101000000-000000000000
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	github.com/cloudwego/netpoll v0.7.2 // indirect
	github.com/panjf2000/ants/v2 v2.12.1 // indirect
	golang.org/x/sync v0.11.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/asyncmsgr/asyncmsgr => ../../..
