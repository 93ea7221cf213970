module github.com/asyncmsgr/asyncmsgr/async/adapters/grpc

go 1.26.0

require (
	github.com/asyncmsgr/asyncmsgr v0.0.0-00010101000000-000000000000
	google.golang.org/grpc v1.85.0
)

replace github.com/asyncmsgr/asyncmsgr => ../../..
