module github.com/asyncmsgr/asyncmsgr/async/adapters/proof

go 1.26.0
