module github.com/asyncmsgr/asyncmsgr/async/adapters/memberlist

go 1.26.0

require (
	github.com/asyncmsgr/asyncmsgr v0.0.0-00010101000000-000000000000
	github.com/hashicorp/memberlist v0.7.0
)

replace github.com/asyncmsgr/asyncmsgr => ../../..
